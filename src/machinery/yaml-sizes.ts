/** Below these the main thread is done before another one has started. */
export const yamlAsideBytesMin = 32 * 1024;
/** Of JSON that is printed indented or as YAML. */
export const printAsideBytesMin = 128 * 1024;
