// Bundles the checks as a frontend's build does, with the development versions of the packages, which warn.
import { transformFileAsync } from "@babel/core";
import { build } from "esbuild";

const relay = {
  name: "relay",
  setup: ({ onLoad }) =>
    onLoad({ filter: /src\/relay\/\w+\.ts$/ }, async ({ path }) => {
      const { code } = await transformFileAsync(path, { plugins: ["relay"], parserOpts: { plugins: ["typescript"] } });
      return { contents: code, loader: "ts" };
    }),
};

await build({
  entryPoints: ["checks/*.ts"],
  outdir: "built",
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  format: "esm",
  conditions: ["development"],
  define: { "process.env.NODE_ENV": '"development"' },
  // CommonJS packages inside of a module call require for Node's own modules.
  banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
  plugins: [relay],
});
