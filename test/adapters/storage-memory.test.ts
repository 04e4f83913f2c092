import { memoryDisk, memoryObjectStorage } from "../../src/adapters/storage/memory.ts";
import { objectStorageConformance } from "../conformance/object-storage.ts";

objectStorageConformance("memory", async () => {
  const disk = memoryDisk();
  return {
    open: async () => memoryObjectStorage(disk),
    leftovers: async () => [...disk.stages.keys()],
  };
});
