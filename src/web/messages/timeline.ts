/** Of what has happened to a transaction. */
export const TIMELINE = {
  "timeline.title": "What has happened",
  "timeline.none": "Nothing is noted.",
  "timeline.later": "Later events",
  "timeline.premis": "As PREMIS (XML)",
  "timeline.by": "by {actor}",
  "timeline.byWith": "by {actor}, with {software}",
  "event.ingestion": "Ingested",
  "event.message digest calculation": "Digests computed",
  "event.fixity check": "Fixity checked",
  "event.replication": "Copied",
  "event.migration": "Migrated",
  "event.deletion": "Deleted",
  "outcome.success": "succeeded",
  "outcome.failure": "failed",
} as const;
