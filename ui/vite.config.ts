import { defineConfig } from "vite";

// Relative addresses, so that the page works behind any path prefix; names from content, so that browsers may keep
// assets for ever and the same sources always give the same files.
export default defineConfig({
  base: "./",
  build: {
    outDir: "../src/weightsmith/web/page",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: { proxy: { "/api": "http://127.0.0.1:8600" } },
});
