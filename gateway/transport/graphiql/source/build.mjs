// Bundles the page into the folder given as the first argument: scripts, style and icon under names that carry their content's
// hash, each compressed, and index.html that points at them.
import { build } from "esbuild";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";

const folder = process.argv[2];

const common = {
  bundle: true,
  minify: true,
  write: false,
  metafile: true,
  outdir: folder,
  format: "esm",
  target: "es2022",
  entryNames: "[name]-[hash]",
  chunkNames: "chunk-[hash]",
  assetNames: "[name]-[hash]",
  jsx: "automatic",
  legalComments: "none",
  loader: { ".ttf": "file", ".svg": "copy" },
  // GraphiQL imports names that only have a CommonJS form, in which it finds no parser.
  alias: { "prettier/parser-babel": "prettier/plugins/babel", "prettier/parser-graphql": "prettier/plugins/graphql" },
  define: { "process.env.NODE_ENV": '"production"' },
};

// "main.js" -> "main-1A2B3C4D.js", for the entries of one build
function entryNames(result) {
  return Object.fromEntries(
    Object.entries(result.metafile.outputs)
      .filter(([path, output]) => output.entryPoint !== undefined || /(main-\w+\.css|icon-\w+\.svg)$/.test(path))
      .map(([path]) => [basename(path).replace(/-\w{8}\./, "."), basename(path)]),
  );
}

// The schema of variables demands non-null input fields that have a default; an operation may leave them out.
const DEMANDED = "return { required, definition, definitions };";
const optionalDefaults = {
  name: "optional-defaults",
  setup({ onLoad }) {
    onLoad({ filter: /getVariablesJSONSchema\.js$/ }, async ({ path }) => {
      const contents = await readFile(path, "utf8");
      if (!contents.includes(DEMANDED)) throw new Error(`${path} demands input fields in another way`);
      return { contents: contents.replace(DEMANDED, DEMANDED.replace("required", "required: required && fieldOrType.defaultValue === undefined")) };
    });
  },
};

const workers = await build({
  ...common,
  plugins: [optionalDefaults],
  entryPoints: {
    editorWorker: "monaco-editor/esm/vs/editor/editor.worker.js",
    jsonWorker: "monaco-editor/esm/vs/language/json/json.worker.js",
    graphqlWorker: "monaco-graphql/esm/graphql.worker.js",
  },
});

const page = await build({
  ...common,
  splitting: true, // the formatter is loaded when "Prettify" is pressed
  entryPoints: { main: "main.jsx", icon: "icon.svg" },
  define: { ...common.define, WORKERS: JSON.stringify(entryNames(workers)) },
});

// The licences of all packages that are in the bundle.
async function licences(...results) {
  const inputs = results.flatMap((result) => Object.keys(result.metafile.inputs));
  const packages = new Set(inputs.map((path) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]).filter(Boolean));
  const texts = [...packages].sort().map(async (path) => {
    const { name, version, license } = JSON.parse(await readFile(join(path, "package.json"), "utf8"));
    const file = (await readdir(path)).find((entry) => /^licen[cs]e/i.test(entry));
    return `${name} ${version} (${license})\n\n${file ? await readFile(join(path, file), "utf8") : ""}`;
  });
  return (await Promise.all(texts)).join(`\n${"-".repeat(80)}\n`);
}

await mkdir(folder, { recursive: true });
const names = entryNames(page);
for (const file of [...workers.outputFiles, ...page.outputFiles]) {
  const name = basename(file.path);
  // main.css contains the styles of the other chunks.
  if (name.endsWith(".css") && name !== names["main.css"]) continue;
  await writeFile(join(folder, `${name}.gz`), gzipSync(file.contents, { level: 9 }));
}
await writeFile(join(folder, "LICENSES.txt"), await licences(workers, page));
const template = await readFile("index.html", "utf8");
await writeFile(
  join(folder, "index.html"),
  template.replaceAll(/\{(\w+\.\w+)\}/g, (_, name) => {
    if (!(name in names)) throw new Error(`index.html names ${name}, which the build did not make`);
    return names[name];
  }),
);
