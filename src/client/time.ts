/** Times on the wire: metav1.Time has seconds, metav1.MicroTime six digits more. */
export const secondTime = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

export const microTime = (ms: number): string => `${new Date(ms).toISOString().slice(0, 23)}000Z`;
