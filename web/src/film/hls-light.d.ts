/** The build of hls.js without what is not used here; it has the same types. */
declare module 'hls.js/light' {
  export * from 'hls.js';
  export { default } from 'hls.js';
}
