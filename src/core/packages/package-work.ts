import { AppError, type Details } from "../errors.ts";
import type { BuiltIns } from "../schedules/built-in.ts";
import { OrderForm, orderRequest } from "./order-form.ts";
import type { OrderRequest } from "./package.ts";
import { PACKAGE_JOB, type Packages } from "./packages.ts";

/** Packages as what schedules can order: those who are named in the order are told, as of any other. */
export function packageWork({ order }: Pick<Packages, "order">): BuiltIns {
  return {
    [PACKAGE_JOB]: {
      summary: "order a package: kind, resourceId and all else, as for POST /api/v1/packages, without a key",
      check: (input) => {
        requestOf(input, "");
      },
      async run(input, { owner, follow, print }) {
        const { order: made, package: ordered } = await order(requestOf(input, owner));
        await print(`package ${made.id}`);
        if (ordered.job !== null && ordered.status === "building") await follow({ id: ordered.job });
        return { package: made.id };
      },
    },
  };
}

/** @throws AppError schedule_invalid. A key would be kept where operators read it. */
function requestOf(input: Details, owner: string): OrderRequest {
  const { data, error } = OrderForm.safeParse(input);
  const fault = error?.issues[0];
  if (data && data.key === undefined) return orderRequest(data, owner);
  throw new AppError("schedule_invalid", {
    action: PACKAGE_JOB,
    field: fault?.path.join(".") || "key",
    expected: fault?.message ?? "no key: a schedule keeps none",
  });
}
