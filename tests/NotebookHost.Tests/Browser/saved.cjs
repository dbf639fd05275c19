// node saved.cjs FOLDER: opens pages NN-FIGURES.html without scripts, as a reader of a code forge sees a saved notebook, and counts the pictures.
const { readdirSync } = require('fs');
const { join } = require('path');
const { pathToFileURL } = require('url');
const { open, check, main } = require('./browser.cjs');

const folder = process.argv[2];

main(async () => {
  const browser = await open();
  const context = await browser.newContext({ javaScriptEnabled: false, offline: true, viewport: { width: 1280, height: 900 } });
  const wrong = [];
  let pictures = 0;
  for (const file of readdirSync(folder).filter(f => f.endsWith('.html')).sort()) {
    const page = await context.newPage();
    await page.goto(pathToFileURL(join(folder, file)).href);
    const seen = await page.locator('.jp-RenderedImage img').evaluateAll(images => images.filter(i => i.complete && i.naturalWidth >= 300 && i.offsetHeight >= 100).length);
    pictures += seen;
    if (seen !== Number(file.match(/-(\d+)\.html/)[1])) wrong.push(file, seen);
    await page.close();
  }
  check('every saved picture is seen', wrong.length === 0, wrong);
  check('and there are some', pictures > 0, pictures);
  console.log(`counted ${pictures} pictures`);
  await browser.close();
});
