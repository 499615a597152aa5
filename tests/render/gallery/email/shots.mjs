// node shots.mjs FOLDER [--height H]: pictures of every .html file at 375 and 700 px, light and dark.
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { open, withBrowser } from './browser.mjs';

const folder = resolve(process.argv[2]);
const most = Number(process.argv[process.argv.indexOf('--height') + 1]) || 1500;
const names = readdirSync(folder).filter((name) => name.endsWith('.html') && name !== 'index.html').sort();
await withBrowser(async (browser) => {
  for (const name of names) {
    for (const width of [375, 700]) {
      for (const scheme of ['light', 'dark']) {
        const { page } = await open(browser, { file: join(folder, name) }, { width, scheme });
        const height = Math.min(most, await page.evaluate(() => document.documentElement.scrollHeight));
        const clip = { x: 0, y: 0, width, height };
        const path = join(folder, `${name.replace('.html', '')}-${width}-${scheme}.png`);
        await page.screenshot({ path, clip, captureBeyondViewport: true });
        await page.close();
      }
    }
  }
});
console.log(`${names.length} mails, ${names.length * 4} pictures in ${folder}`);
