/** Whether a path is plainly below a root: no empty, `.` or `..` parts, nothing that is no text. */
export function isPlainPath(path: string): boolean {
  const parts = path.split("/");
  return path.isWellFormed() && !path.includes("\0") && parts.every((part) => !["", ".", ".."].includes(part));
}
