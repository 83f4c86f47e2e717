/** Times as metadata shows them: whole seconds. */
export const rfc3339 = (now: number): string => `${new Date(now).toISOString().slice(0, 19)}Z`;
