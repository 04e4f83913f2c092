/** Of what a file is made of. */
export const STRUCTURE = {
  "structure.pages": "Pages",
  "structure.title": "Title",
  "structure.author": "Author",
  "structure.dimensions": "Dimensions",
  "structure.variables": "Variables",
  "structure.attributes": "Attributes",
  "structure.more": "and {count} more",
  "structure.columns": "Columns",
  "structure.rows": "{count} rows",
  "structure.column": "Column",
  "structure.type": "Type",
  "structure.values": "Values",
  "structure.record": "All that is known of its content",
} as const;
