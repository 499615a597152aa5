// Chromium without network: a page at one width and colour scheme.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import puppeteer from 'puppeteer-core';

export function chromium() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const folders = (process.env.PATH ?? '').split(delimiter);
  const names = ['chromium', 'chromium-browser', 'google-chrome'];
  return folders.flatMap((folder) => names.map((name) => join(folder, name))).find(existsSync);
}

export async function withBrowser(work) {
  const executablePath = chromium();
  if (!executablePath) throw new Error('no Chromium on the PATH: apt-get install chromium, or set CHROMIUM');
  const profile = mkdtempSync(join(tmpdir(), 'newsletter-mail-'));
  const browser = await puppeteer.launch({
    executablePath,
    headless: true,
    userDataDir: profile,
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--hide-scrollbars'],
  });
  try {
    return await work(browser);
  } finally {
    await browser.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

// `requests` receives every URL that the page requests; none is answered.
export async function open(browser, { file, html }, { width, scheme, height = 900, scale = 1 }) {
  const page = await browser.newPage();
  const requests = [];
  await page.setViewport({ width, height, deviceScaleFactor: scale });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  await page.setRequestInterception(true);
  page.on('request', (request) => {
    if (/^(about|data|file):/.test(request.url())) return request.continue();
    requests.push(request.url());
    return request.abort();
  });
  if (html) await page.setContent(html, { waitUntil: 'load' });
  else await page.goto(pathToFileURL(file).href, { waitUntil: 'load' });
  return { page, requests };
}
