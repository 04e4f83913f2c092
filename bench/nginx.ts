import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";

export interface Nginx {
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * Serves `root` as nginx does out of the box: sendfile, one worker for each core. Everything it writes goes to `folder`.
 * @returns `undefined` when there is no nginx on this machine (Debian: `nginx-light`).
 */
export async function startNginx(root: string, folder: string): Promise<Nginx | undefined> {
  if (spawnSync("nginx", ["-v"], { stdio: "ignore" }).status !== 0) return undefined;
  const port = await freePort();
  const config = join(folder, "nginx.conf");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${join(folder, name)};`)
    .join(" ");
  writeFileSync(
    config,
    `daemon off; worker_processes auto; pid ${join(folder, "nginx.pid")}; error_log stderr crit;
${process.getuid?.() === 0 ? "user root;" : ""}
events { worker_connections 1024; }
http { access_log off; sendfile on; tcp_nopush on; ${temporary} server { listen 127.0.0.1:${port}; root ${root}; } }
`,
  );
  const nginx = spawn("nginx", ["-c", config, "-p", folder, "-e", "stderr"], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const exited = once(nginx, "exit");
  const url = `http://127.0.0.1:${port}`;
  while (!(await answers(url))) {
    if (nginx.exitCode !== null) throw new Error(`nginx ended with code ${nginx.exitCode}.`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    url,
    async stop() {
      nginx.kill("SIGTERM");
      await exited;
    },
  };
}

function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    () => true,
    () => false,
  );
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}
