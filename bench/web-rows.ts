import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { systemClock } from "../src/adapters/system-clock.ts";
import { openFoundation } from "../src/compose/foundation.ts";
import { loadConfig } from "../src/settings/config.ts";
export interface Filled {
  /** In transactions of a hundred. */
  readonly files: number;
  /** All in one transaction, the last. */
  readonly together: number;
}
/** Of one of these each thing is; `ada` signs in. */
const OWNERS = 50;
export const JOBS = 200_000;
const REGISTER = {
  name: "samples",
  title: "Samples",
  fields: {
    label: { type: "string", label: "Label", maxLength: 200 },
    taken: { type: "string", label: "Taken", format: "date" },
    site: { type: "string", label: "Site", maxLength: 200 },
  },
  statuses: { New: { next: { Measured: ["operate"] } }, Measured: {} },
  initial: "New",
  permissions: { create: ["anyone"], read: ["anyone"], change: ["operate"], remove: ["operate"] },
};
/** Numbers from 1 to `last`, as `i`. */
const to = (last: number) =>
  `(with recursive n(i) as (select 1 union all select i + 1 from n where i < ${last}) select i from n)`;
const owner = `iif(i % ${OWNERS} = 7, 'ada', 'owner-' || (i % ${OWNERS}))`;
/**
 * A database with much of everything that pages show, written past the services: nothing of it was deposited, ordered or run.
 * Folders have at most a thousand names, but for one with all files of the last transaction's half.
 */
export async function fillDatabase(dataDir: string, { files, together }: Filled): Promise<void> {
  const foundation = await openFoundation(loadConfig({ LONGSHORE_DATA_DIR: dataDir }), systemClock);
  await foundation.close();
  const now = systemClock.now();
  const db = new DatabaseSync(join(dataDir, "longshore.sqlite"));
  const transactions = files / 100;
  const last = JOBS + 1;
  const file = (id: string, transaction: string, path: string) =>
    `${id}, ${transaction}, ${path}, 'v1/content/' || ${id}, 1000 + ${id} % 5000, '2026-01-01T00:00:00.000Z', null, iif(${id} % 7, 'text/plain', 'image/tiff'), '{"sha512":"${"0".repeat(128)}"}', 0, 'sha512', '${"0".repeat(128)}'`;
  db.exec("pragma synchronous = off");
  db.exec("pragma foreign_keys = off");
  db.exec("pragma cache_size = -200000");
  db.exec(`begin;
    insert into sequences (name, last) values ('upload_job', ${last}), ('file', ${files + together}) on conflict do update set last = excluded.last;
    insert into jobs (id, kind, lane, state, owner, tasks, result, created_at, updated_at, started_at, finished_at)
      select i, iif(i % 5, 'ingest', 'move'), 'fast', iif(i % 200, 'succeeded', 'failed'), ${owner},
        '[{"name":"verify","percent":100,"doneFiles":100,"startedAt":1,"finishedAt":2},{"name":"publish","percent":100,"startedAt":2,"finishedAt":3}]',
        '{"transactionId":' || i || '}', ${now} - ${last} + i, ${now}, ${now} - ${last} + i, ${now} - 5 from ${to(last)};
    insert into job_events (job_id, at, type, data) select i % ${last} + 1, i, 'state', '{"to":"running"}' from ${to(4 * last)};
    insert into transactions select i, 'p' || (i % 50), 'project-' || (i % 200), 'instrument-' || (i % 20), ${owner}, 100, 300000, 'o/' || i, '${"0".repeat(128)}', ${now} - ${transactions} + i from ${to(transactions)};
    insert into transactions values (${last}, 'p1', 'project-1', 'instrument-1', 'ada', ${together}, ${together} * 1000, 'o/last', '${"0".repeat(128)}', ${now});
    insert into fixity_checks (transaction_id, size_bytes, checked_at, outcome) select id, size_bytes, id, iif(id % 1000, 'success', 'failure') from transactions;
    insert into key_values (transaction_id, file_id, key, value) select i % ${transactions} + 1, null, 'key-' || (i % 5), 'value-' || i from ${to(5 * transactions)};
    insert into files select ${file("i", "(i - 1) / 100 + 1", `'data/run-' || ((i - 1) / 100) || '/' || (i % 10) || '/sample-' || i || '.txt'`)} from ${to(files)};
    insert into files select ${file(`(${files} + i)`, `${last}`, `iif(i % 2, 'data/flat/' || i || '.bin', 'data/d' || (i / 5000) || '/' || i || '.bin')`)} from ${to(together)};
    insert into carts (id, name, owner, status, algorithm, file_count, size_bytes, ready_at, created_at, updated_at)
      select printf('00000000-0000-4000-8000-%012d', i), 'cart ' || i, ${owner}, 'ready', 'sha512', 10, 10000, ${now}, ${now} - 20000 + i, ${now} from ${to(20_000)};
    insert into cart_entries (cart, seq, path, file_id, size_bytes, unstaged) select 20000, i - 1, 'files/' || i, i, 1000, 0 from ${to(files)};
    update carts set file_count = ${files}, size_bytes = ${files * 1000}, owner = 'ada' where number = 20000;
    insert into packages (id, cache_key, recipe, status, lane, job, file_name, size_bytes, row_count, live, created_at, finished_at, last_used_at)
      select printf('00000000-0000-4000-8000-%012d', i), 'key-' || i, '{"kind":"datastore","resourceId":"r' || (i % 100) || '","apiUrl":"https://example.org/api","format":"csv","manifest":false}', 'expired', 'fast', i, null, 1000, 10, 0, ${now}, ${now}, ${now} from ${to(20_000)};
    insert into package_orders (id, package, owner, door, created_at) select printf('00000000-0000-4000-9000-%012d', i), i, ${owner}, 0, ${now} - 20000 + i from ${to(20_000)};
    insert into package_requests (order_id, at, resource_id, email, size_bytes, row_count) select 'order-' || i, ${now} - i * 100000, 'r' || (i % 100), 'm' || (i % 500), 1000, 10 from ${to(100_000)};
    insert into package_counts select 'r' || (i % 200), ${Math.floor(now / 86_400_000)} * 86400000 - (i / 200) * 86400000, 1, 1, 1, 1000, 10 from ${to(40_000)};
    insert into crawls (id, owner, status, endpoints, job, directories, files, bytes, groups, families, others, errors, new_files, changed_files, same_files, gone_files, last_seq, last_folder, created_at, started_at, finished_at, removed)
      select printf('00000000-0000-4000-8000-%012d', i), ${owner}, 'complete', '[{"url":"file:///srv/data","folders":[""],"grouper":"extension","pattern":null,"hidden":true}]', i, 1000, 1000000, 1000000000, 10, 10, 0, 0, 0, 0, 0, 0, 5000, 1000, ${now} - 5000 + i, ${now} - 10, ${now} - 5, 0 from ${to(5_000)};
    update crawls set owner = 'ada' where number = 5000;
    insert into crawl_batches (crawl, seq, endpoint, folder, files, gone)
      select 5000, i, 0, 'folder-' || (i / 5), (select json_object('names', json_group_array('f' || k || '.csv'), 'sizes', json_group_array(1000 + k), 'times', json_group_array(1), 'modes', json_group_array(420)) from (select value as k from json_each('[${Array.from({ length: 200 }, (_, at) => at).join()}]'))), '[]' from ${to(Math.ceil(files / 200))};
    insert into extractions (id, crawl, owner, status, pulled, success, failed, pending, unknown, done_seq, last_number, job, created_at, removed)
      values ('00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000005000', 'ada', 'complete', 100000, 100000, 0, 0, 0, 5000, 100000, 1, ${now}, 0);
    insert into extraction_records (extraction, number, family, group_index, group_kind, extractor, version, files, data, problems, duration_ms, created_at)
      select 1, i, 'f' || i, 0, 'file', 'tabular', '1', '["folder/f.csv"]', '{"columns":3}', '[]', 1.5, ${now} from ${to(100_000)};
    insert into registers values ('samples', '${JSON.stringify(REGISTER)}', 'api', 1, 100000, null, 1);
    insert into register_entries (register, id, owner, status, version, attempts, fields, job, settled, due_at, created_at, updated_at)
      select 'samples', i, ${owner}, iif(i % 3, 'New', 'Measured'), 1, 0, json_object('label', 'sample ' || i, 'taken', '2026-11-01', 'site', 'site ' || (i % 100)), null, 1, null, ${now}, ${now} from ${to(100_000)};
    insert into register_values select 'samples', 'site', json_quote('site ' || (i % 100)), i from ${to(100_000)};
    insert into register_events (register, entry, at, actor, changed) select 'samples', i % 100000 + 1, ${now}, 'ada', '["site"]' from ${to(200_000)};
    insert into schedules select 'schedule-' || i, printf('schedule %04d', i), ${owner},
      '{"expression":"' || (i % 60) || ' 3 * * *","timeZone":"Europe/London","action":{"kind":"shell","command":"true","stdin":null,"user":null},"environment":{},"required":[],"overlap":"skip","lock":null,"misfire":"none","timeoutMs":null,"deadManMs":null,"conditions":{"window":null,"loadBelow":null,"free":null,"online":[],"waitMs":0},"notify":{"to":null,"when":"never"},"rerun":false}',
      0, 0, ${now} + 86400000 + i * 60000, ${now}, null, null, ${now}, ${now} from ${to(1_000)};
    insert into schedule_runs (schedule, cause, due_at, overlap, state, output_bytes, created_at, started_at, finished_at)
      select 'schedule-' || (i % 1000 + 1), 'due', ${now} - 200000 + i, 'skip', 'succeeded', 0, ${now} - 200000 + i, ${now} - 200000 + i, ${now} from ${to(200_000)};
    insert into audit (seq, at, actor, action, target, details, previous_hash, hash) select i, ${now}, ${owner}, 'job.cancel', 'job/' || (i % 20000), '{}', 'p', 'h' from ${to(200_000)};
    delete from search_changes;
    commit;
    analyze;`);
  db.close();
}
