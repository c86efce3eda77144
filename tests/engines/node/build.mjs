/** `node build.mjs OUT`: the page of enketo.mjs as one script and one style sheet. */
import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { build } from 'esbuild';
import * as sass from 'sass';

const out = resolve(process.argv[2]);
const packages = resolve(import.meta.dirname, 'node_modules');
const core = join(packages, 'enketo-core');
const { browser } = createRequire(import.meta.url)(join(core, 'package.json'));

await build({
  entryPoints: [join(import.meta.dirname, 'enketo.mjs')],
  outfile: join(out, 'enketo.js'),
  bundle: true,
  format: 'iife',
  logLevel: 'error',
  external: ['libxslt'], // what the transformer takes where there is no browser
  alias: Object.fromEntries(Object.entries(browser).map(([name, file]) => [name, join(core, file)])),
  define: { 'process.env.NODE_ENV': '"production"' },
});

/** Enketo's style sheets name their packages by where they stand in Enketo's own repository. */
const importer = {
  findFileUrl(url) {
    const name = url.split('/node_modules/')[1];
    return name === undefined ? null : pathToFileURL(join(packages, name));
  },
};
const theme = join(core, 'src/sass/formhub/formhub.scss');
const { css } = sass.compile(theme, { importers: [importer], loadPaths: [dirname(theme)], quietDeps: true, logger: sass.Logger.silent });
await writeFile(join(out, 'enketo.css'), css);
