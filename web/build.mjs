// Builds src/ into the Python package: two scripts, one style sheet, two pages, a font, the licences of what is bundled,
// and a manifest that says which sources the build is of.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "../src/rarec/service/web");
const font = "node_modules/@fontsource/instrument-serif";

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: { chat: "src/chat.tsx", admin: "src/admin.tsx", style: "src/style.css" },
  outdir: out,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  external: ["*.woff2"],
  legalComments: "none",
  logLevel: "warning",
});
for (const name of ["chat.html", "admin.html", "icon.svg"]) await copyFile(join(here, "src", name), join(out, name));
await copyFile(join(here, font, "files/instrument-serif-latin-400-normal.woff2"), join(out, "instrument-serif.woff2"));
await writeFile(join(out, "LICENSES.txt"), await licences(["preact", "@fontsource/instrument-serif"]));

const files = {};
for (const name of (await readdir(out)).sort()) files[name] = sha256(await readFile(join(out, name)));
const manifest = { sources: await hashOfSources(), files };
await writeFile(join(out, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);

/** sha256 over the lines "<sha256 of a file>  <its path>", sorted by path; tests/integration/test_service_site.py does the same. */
async function hashOfSources() {
  const names = ["build.mjs", "package.json", "package-lock.json", "tsconfig.json"];
  for (const name of await readdir(join(here, "src"))) names.push(`src/${name}`);
  const lines = [];
  for (const name of names.sort()) lines.push(`${sha256(await readFile(join(here, name)))}  ${name}\n`);
  return sha256(lines.join(""));
}

async function licences(names) {
  const parts = ["The pages of rarec contain the following software and font.\n"];
  for (const name of names) {
    const { version } = JSON.parse(await readFile(join(here, "node_modules", name, "package.json"), "utf-8"));
    const text = await readFile(join(here, "node_modules", name, "LICENSE"), "utf-8");
    parts.push(`${"-".repeat(80)}\n${name} ${version}\n\n${text.trim()}\n`);
  }
  return parts.join("\n");
}

function sha256(content) {
  return createHash("sha256").update(content).digest("hex");
}
