import { connect } from "../../../sdk/connection.ts";
import { type UploadsApi, uploadsApi } from "../../../sdk/uploads.ts";

/** The server's uploads, for a page whose reader has signed in. @param server without `/api/v1`. */
export function uploadsOf(server: string, formToken: string): UploadsApi {
  return uploadsApi(
    connect({
      url: server,
      fetch(input, init = {}) {
        const headers = new Headers(init.headers);
        headers.set("x-form-token", formToken);
        return fetch(input, { ...init, headers });
      },
    }),
  );
}
