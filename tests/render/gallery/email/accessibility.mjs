// axe-core and measured font sizes, at every width and colour scheme, and once without style sheets.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { open } from './browser.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const STANDARD = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
const VIEWS = [320, 375, 700].flatMap((width) => ['light', 'dark'].map((scheme) => ({ width, scheme })));

// An email is shown inside a client's page, so it needs no landmarks.
const audit = (tags) => window.axe.run(document, {
  resultTypes: ['violations'],
  runOnly: { type: 'tag', values: tags },
  rules: { region: { enabled: false }, 'landmark-one-main': { enabled: false } },
}).then(({ violations }) => violations.map(({ id, impact, tags: of, nodes }) => (
  { id, impact, of, nodes: nodes.length, html: nodes[0].html.slice(0, 90) })));

function measure() {
  const lines = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const parent = walker.currentNode.parentElement;
    if (!text || !parent.offsetParent || parent.closest('style')) continue;
    const style = getComputedStyle(parent);
    const size = parseFloat(style.fontSize);
    lines.push({ text: text.slice(0, 30), letters: text.length, size, ratio: parseFloat(style.lineHeight) / size,
      heading: Boolean(parent.closest('h1,h2,h3')) });
  }
  const { scrollWidth, clientWidth, scrollHeight } = document.documentElement;
  return { lines, overflow: scrollWidth - clientWidth, height: scrollHeight };
}

// On a phone, whole issues are read by scrolling.
const LONGEST = 20000;

function typeFaults({ lines, overflow, height }, longest) {
  const faults = [];
  const small = lines.find((line) => line.size < 13);
  const tight = lines.find((line) => line.letters > 40 && !line.heading && !(line.ratio >= 1.39));
  const letters = (some) => some.reduce((sum, line) => sum + line.letters, 0);
  if (small) faults.push(`27 ${small.size}px is too small: ${small.text}`);
  if (tight) faults.push(`27 a line height of ${tight.ratio} is too tight: ${tight.text}`);
  if (letters(lines.filter((line) => line.size >= 15)) < letters(lines) / 2) faults.push('27 most text is under 15px');
  if (height > longest) faults.push(`${height}px high, ${longest}px is the limit`);
  if (overflow > 0) faults.push(`28 ${overflow}px too wide`);
  return faults;
}

async function check(browser, source, view, point, papers) {
  const { page, requests } = await open(browser, source, view);
  await page.evaluate(axe);
  const found = await page.evaluate(audit, [...STANDARD, 'best-practice']);
  const serious = found.filter(({ of, impact }) => of.some((tag) => STANDARD.includes(tag)) || /serious|critical/.test(impact));
  const faults = serious.map(({ id, nodes, html }) => `${point} ${id}, ${nodes} times: ${html}`);
  if (point === 25) faults.push(...typeFaults(await page.evaluate(measure), view.width === 375 && papers <= 48 ? LONGEST : Infinity));
  if (requests.length) faults.push(`35 the page asks for ${requests[0]}`);
  await page.close();
  return faults.map((fault) => `${fault} [${view.width} ${view.scheme}]`);
}

// `brief` checks only the narrowest dark and the widest light view, which differ most.
export async function accessibility(browser, file, html, { brief, papers }) {
  const bare = html.replace(/<style\b[^>]*>[^]*?<\/style>/g, '');
  const views = brief ? [VIEWS[1], VIEWS[4]] : VIEWS;
  const checks = views.map((view) => check(browser, { file }, view, 25, papers));
  checks.push(check(browser, { html: bare }, { width: 500, scheme: 'light' }, 31, papers));
  return (await Promise.all(checks)).flat();
}
