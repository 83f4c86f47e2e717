/**
 * Names of time zones. Those that JavaScript can compute with, less its own additions to the IANA's names and but for the
 * spelling: upstream looks for a file of that name, JavaScript doesn't mind the case.
 */

/** Of ICU, from before the IANA's database. */
const oldShortNames =
  /^(ACT|AET|AGT|ART|AST|BET|BST|CAT|CNT|CST|CTT|EAT|ECT|IET|IST|JST|MIT|NET|NST|PLT|PNT|PRT|PST|SST|VST)$|^SystemV\//;

export function isTimeZone(name: string): boolean {
  if (name === "UTC") return true;
  // Every part begins with a capital letter; offsets like +01:00 are no names.
  if (!/^[A-Z][^/]*(\/[A-Z][^/]*)*$/.test(name) || oldShortNames.test(name)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}
