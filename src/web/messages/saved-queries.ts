/** Of searches that are kept. */
export const SAVED_QUERIES = {
  "saved.title": "Saved searches",
  "saved.name": "Name",
  "saved.query": "Search",
  "saved.save": "Save this search",
  "saved.refused": "The search was not saved: see what is wrong below.",
  "saved.wrongName": "Give it a name of 1 to 200 characters, without control characters.",
  "saved.wrongQuery": "This is too long, or cannot be searched for.",
  "saved.exists": "You have a saved search of this name already: choose another.",
  "saved.back": "Back to the search",
  "saved.remove": "Remove",
  "saved.removeOf": "Remove the saved search {name}",
} as const;
