import { CamelCasePlugin, type Dialect, Kysely, sql } from "kysely";
import type { AuditStore, TokenStore } from "../../core/access/access-stores.ts";
import type { CartStore } from "../../core/carts/cart-store.ts";
import type { StagingStore } from "../../core/carts/staging/staging-store.ts";
import type { CatalogueStore, Outbox, SequenceStore } from "../../core/catalogue/catalogue-store.ts";
import type { SavedQueries } from "../../core/catalogue/saved-queries.ts";
import type { SearchChanges } from "../../core/catalogue/search-changes.ts";
import type { SearchRebuilds } from "../../core/catalogue/search-rebuilds.ts";
import type { Clock } from "../../core/clock.ts";
import type { CrawlStore } from "../../core/crawl/crawl-store.ts";
import type { DocumentStore } from "../../core/documents/document-store.ts";
import type { DropStore } from "../../core/drop/drop.ts";
import type { EnvironmentStore } from "../../core/environment/environment-store.ts";
import type { ExtractionStore } from "../../core/extract/extraction-store.ts";
import type { FixityStore } from "../../core/fixity/fixity-store.ts";
import type { HistoryStore } from "../../core/jobs/history-store.ts";
import type { JobQueue } from "../../core/jobs/job-queue.ts";
import type { JobStore } from "../../core/jobs/job-store.ts";
import type { Agreements } from "../../core/nodes/agreements.ts";
import type { LeaseStore } from "../../core/nodes/leases.ts";
import type { NodeStore } from "../../core/nodes/nodes.ts";
import type { PackageStore } from "../../core/packages/package-store.ts";
import type { StatisticsStore } from "../../core/packages/statistics.ts";
import type { RegisterStore } from "../../core/registers/register-store.ts";
import type { ScheduleStore } from "../../core/schedules/schedule-store.ts";
import type { SwitchStore } from "../../core/switches/switch.ts";
import { pgBossJobQueue } from "../queue/pg-boss.ts";
import { sqliteJobQueue } from "../queue/sqlite.ts";
import { sqlAgreements } from "./agreements.ts";
import { sqlAuditStore } from "./audit-store.ts";
import { sqlCartStore } from "./cart-store.ts";
import { sqlCatalogueStore } from "./catalogue-store.ts";
import { sqlCrawlStore } from "./crawl-store.ts";
import { sqlDocumentStore } from "./document-store.ts";
import { sqlDropStore } from "./drop-store.ts";
import { sqlEnvironmentStore } from "./environment-store.ts";
import { sqlExtractionStore } from "./extraction-store.ts";
import { sqlFixityStore } from "./fixity-store.ts";
import { sqlHistoryStore } from "./history-store.ts";
import { forgetTheDead } from "./in-use.ts";
import { sqlJobStore } from "./job-store.ts";
import type { Dequeue, Enqueue } from "./job-writes.ts";
import { sqlLeaseStore } from "./lease-store.ts";
import { type DialectName, type MigrationNews, migrate, requireCurrent } from "./migrate.ts";
import { sqlNodeStore } from "./node-store.ts";
import { sqlOutbox } from "./outbox.ts";
import { sqlStatisticsStore } from "./package-statistics.ts";
import { sqlPackageStore } from "./package-store.ts";
import { type Connections, postgresDialect } from "./postgres.ts";
import { sqlRegisterStore } from "./register-store.ts";
import { sqlSavedQueries } from "./saved-queries.ts";
import { sqlScheduleStore } from "./schedule-store.ts";
import { sqlSearchChanges } from "./search-changes.ts";
import { sqlSearchRebuilds } from "./search-rebuilds.ts";
import { sqlSequenceStore } from "./sequence-store.ts";
import { sqliteDialect } from "./sqlite.ts";
import { sqlStagingStore } from "./staging-store.ts";
import { sqlSwitchStore } from "./switch-store.ts";
import type { Tables } from "./tables.ts";
import { sqlTokenStore } from "./token-store.ts";

/** Everything that is kept in the database. */
export interface Stores {
  readonly jobs: JobStore;
  readonly queue: JobQueue;
  readonly history: HistoryStore;
  readonly catalogue: CatalogueStore;
  readonly carts: CartStore;
  readonly staging: StagingStore;
  readonly packages: PackageStore;
  readonly statistics: StatisticsStore;
  readonly crawls: CrawlStore;
  readonly extractions: ExtractionStore;
  readonly searchChanges: SearchChanges;
  readonly searchRebuilds: SearchRebuilds;
  readonly savedQueries: SavedQueries;
  readonly documents: DocumentStore;
  readonly fixity: FixityStore;
  readonly schedules: ScheduleStore;
  readonly switches: SwitchStore;
  readonly drops: DropStore;
  readonly environment: EnvironmentStore;
  readonly registers: RegisterStore;
  readonly outbox: Outbox;
  readonly sequences: SequenceStore;
  readonly tokens: TokenStore;
  readonly audit: AuditStore;
  readonly leases: LeaseStore;
  readonly agreements: Agreements;
  readonly nodes: NodeStore;
  /** Left out where the database is a file. */
  connections?(): Connections;
  /** Resolves when the database answers. @throws AppError database_unavailable. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** What happens to a schema that is not as this program needs it. */
export interface Migrating {
  /** Whether it is brought up; if not, an older one is refused. It is when left out. */
  readonly migrates?: boolean;
  onMigration?(news: MigrationNews): void;
}

/**
 * One file, with the queue in it. The folder must exist.
 * @throws AppError database_unavailable, database_newer, database_older.
 */
export async function openSqlite(
  options: Migrating & {
    readonly path: string;
    readonly clock: Clock;
    /** See {@link JobQueue.leaseMs}. */
    readonly leaseMs?: number;
  },
): Promise<Stores> {
  forgetTheDead(options.path);
  const db = await openDatabase(sqliteDialect(options.path), "sqlite", options);
  return stores(db, "sqlite", options.clock, sqliteJobQueue(db, options.clock, options.leaseMs));
}

/**
 * A PostgreSQL database, with pg-boss for the queue.
 * @throws AppError driver_missing, database_unavailable, database_newer, database_older.
 */
export async function openPostgres(
  options: Migrating & {
    readonly url: string;
    readonly clock: Clock;
    readonly poolSize?: number;
    /** Told of what goes wrong between requests, such as a broken connection; a process warning when left out. */
    onTrouble?(error: unknown): void;
  },
): Promise<Stores> {
  const { url, clock, poolSize, onTrouble = warn } = options;
  const pool = { url, onTrouble, ...(poolSize !== undefined && { poolSize }) };
  const dialect = await postgresDialect(pool);
  const db = await openDatabase(dialect, "postgres", options);
  try {
    const queue = await pgBossJobQueue(db, url, clock, onTrouble);
    return { ...stores(db, "postgres", clock, queue), connections: dialect.connections };
  } catch (error) {
    await db.destroy();
    throw error;
  }
}

const warn = (error: unknown) => process.emitWarning(error instanceof Error ? error : String(error));

async function openDatabase(
  dialect: Dialect,
  name: DialectName,
  { migrates = true, onMigration }: Migrating,
): Promise<Kysely<Tables>> {
  const db = new Kysely<Tables>({ dialect, plugins: [new CamelCasePlugin()] });
  try {
    if (migrates) await migrate(db, name, onMigration);
    else await requireCurrent(db, name);
    return db;
  } catch (error) {
    await db.destroy();
    throw error;
  }
}

interface QueueParts {
  readonly queue: JobQueue;
  readonly enqueue: Enqueue;
  readonly dequeue: Dequeue;
}

function stores(
  db: Kysely<Tables>,
  dialect: DialectName,
  clock: Clock,
  { queue, enqueue, dequeue }: QueueParts,
): Stores {
  return {
    jobs: sqlJobStore(db, dialect, { enqueue, dequeue }),
    queue,
    history: sqlHistoryStore(db, dialect),
    catalogue: sqlCatalogueStore(db, dialect),
    carts: sqlCartStore(db, dialect),
    staging: sqlStagingStore(db),
    packages: sqlPackageStore(db, dialect, enqueue),
    statistics: sqlStatisticsStore(db),
    crawls: sqlCrawlStore(db, dialect, enqueue),
    extractions: sqlExtractionStore(db, dialect, enqueue),
    searchChanges: sqlSearchChanges(db),
    searchRebuilds: sqlSearchRebuilds(db),
    savedQueries: sqlSavedQueries(db),
    documents: sqlDocumentStore(db),
    fixity: sqlFixityStore(db, dialect),
    schedules: sqlScheduleStore(db, dialect, enqueue),
    switches: sqlSwitchStore(db),
    drops: sqlDropStore(db),
    environment: sqlEnvironmentStore(db),
    registers: sqlRegisterStore(db, dialect, enqueue),
    outbox: sqlOutbox(db, dialect),
    sequences: sqlSequenceStore(db),
    tokens: sqlTokenStore(db),
    audit: sqlAuditStore(db, dialect),
    leases: sqlLeaseStore(db, dialect, clock),
    agreements: sqlAgreements(db),
    nodes: sqlNodeStore(db, dialect, clock),
    async ping() {
      await sql`select 1`.execute(db);
    },
    async close() {
      await queue.close();
      await db.destroy();
    },
  };
}
