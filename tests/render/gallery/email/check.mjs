// node check.mjs FOLDER: checks every .html file by the points of docs/email.md. Exit 1 if one fails.
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { HtmlValidate } from 'html-validate';
import { accessibility } from './accessibility.mjs';
import { withBrowser } from './browser.mjs';
import { clients } from './clients.mjs';

const validator = new HtmlValidate({
  extends: ['html-validate:recommended'],
  // Mail clients need inline styles, `align`, `<a name>` and conditional comments.
  rules: {
    'no-inline-style': 'off', 'no-deprecated-attr': 'off', 'no-conditional-comment': 'off', 'void-style': 'error',
    'doctype-style': 'off', 'long-title': 'off', 'attribute-boolean-style': 'off', 'no-trailing-whitespace': 'off',
    'prefer-native-element': 'off', 'attr-quotes': 'off', 'no-redundant-role': 'off',
  },
});

async function markup(html) {
  const report = await validator.validateString(html);
  return report.results.flatMap(({ messages }) => messages)
    .filter(({ severity }) => severity === 2)
    .map(({ ruleId, line, message }) => `34 ${ruleId}, line ${line}: ${message}`);
}

// These emails have no element that another one does not have.
const LIKE_OTHERS = /^(picks-(001|020|400)|at-most|format|news-400)/;
const folder = resolve(process.argv[2]);
const files = readdirSync(folder).filter((name) => name.endsWith('.html') && name !== 'index.html').sort();
let failed = 0;
await withBrowser(async (browser) => {
  for (const name of files) {
    const file = join(folder, name);
    const html = readFileSync(file, 'utf8');
    const faults = [...await markup(html),
      ...clients(html, { digest: !name.startsWith('mail-'), hostile: name.includes('hostile') }),
      ...await accessibility(browser, file, html, { brief: LIKE_OTHERS.test(name), papers: Number(/^picks-(\d+)/.exec(name)?.[1] ?? 0) })];
    failed += faults.length > 0;
    console.log(`${faults.length ? 'FAIL' : 'ok  '} ${name}`);
    for (const fault of faults) console.log(`     ${fault}`);
  }
});
console.log(`${files.length} mails, ${failed} failed`);
process.exitCode = failed || !files.length ? 1 : 0;
