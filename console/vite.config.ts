// Builds the console into gateway/web/, from where the daemon serves it; Swagger UI goes along as plain files for /docs.
import { copyFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const out = fileURLToPath(new URL("../gateway/web", import.meta.url));

function swagger(): Plugin {
  return {
    name: "swagger-ui",
    apply: "build",
    closeBundle() {
      const from = dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));
      mkdirSync(join(out, "docs"), { recursive: true });
      for (const file of ["swagger-ui.css", "swagger-ui-bundle.js"]) copyFileSync(join(from, file), join(out, "docs", file));
    },
  };
}

export default defineConfig({
  base: "./",
  build: { outDir: out, emptyOutDir: true, target: "chrome109", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: { proxy: { "/v1": "http://127.0.0.1:8080" } },
  plugins: [swagger()],
});
