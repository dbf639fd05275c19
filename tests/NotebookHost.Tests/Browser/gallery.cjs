// node gallery.cjs SITE [PAGE]: opens every page of a gallery, and the page of the run it was made of, and tries what a reader would.
const { readdirSync, readFileSync } = require('fs');
const { join, relative } = require('path');
const { pathToFileURL } = require('url');
const { open, check, main } = require('./browser.cjs');

const site = process.argv[2];
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const pages = readdirSync(site, { recursive: true }).filter(f => f.endsWith('.html')).sort();
const address = page => pathToFileURL(join(site, page)).href;
const own = process.argv[3] ? [relative(site, process.argv[3])] : [];

// In the page: the figures whose parts are not all there, by what plotly was given and what stands in the document.
const undrawn = () => Array.from(document.querySelectorAll('figure [role=img]')).filter(box => {
  if (!box.classList.contains('js-plotly-plot')) return true;
  const count = type => box._fullData.filter(t => t.type === type && t.visible === true).length;
  const seen = selector => box.querySelectorAll(selector).length;
  return box.data.length === 0 || box._fullData.length !== box.data.length
    || seen('.scatterlayer .trace') !== count('scatter') || seen('.barlayer .trace') !== count('bar')
    || seen('.heatmaplayer .hm') !== count('heatmap') || seen('.contourlayer .contour') !== count('contour');
}).map(box => box.getAttribute('aria-label').slice(0, 60));

const untypeset = () => Array.from(document.querySelectorAll('math')).filter(m => {
  const size = m.getBoundingClientRect();
  return size.width === 0 || size.height === 0 || m.querySelector('mtext[style*="b00020"]');
}).map(m => m.textContent).concat(Array.from(document.querySelectorAll('main p, main li, main h2')).filter(p => /\$\$|\\(frac|eta|lambda|pi|sum)\b/.test(p.textContent.replace(/\s+/g, ' ')) && !p.querySelector('code, math')).map(p => p.textContent));

const scrolls = () => document.scrollingElement.scrollWidth > innerWidth + 1
  ? Array.from(document.querySelectorAll('main *')).filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll, pre, svg, math')).slice(0, 3).map(e => e.outerHTML.slice(0, 120)) : [];

const brokenLinks = known => Array.from(document.querySelectorAll('a[href]')).filter(a => a.protocol === 'file:' && !known.includes(a.href.split('#')[0])).map(a => a.getAttribute('href'))
  .concat(Array.from(document.querySelectorAll('a[href^="#"]')).filter(a => !document.getElementById(decodeURIComponent(a.hash.slice(1)))).map(a => a.hash));

main(async () => {
  const browser = await open();
  const found = { 'no console error': [], 'no request leaves the machine': [], 'every figure has drawn its traces': [], 'every formula is typeset': [], 'no link is broken': [],
    'no sideways scrolling at 390 pixels': [], 'no sideways scrolling at 1920 pixels': [], 'no serious finding of axe, light': [], 'no serious finding of axe, dark': [], 'every picture is there': [] };
  const counted = { figures: 0, traces: 0, formulas: 0 };
  let hovered = 0, lines = 0;
  for (const file of [...pages, ...own]) {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' });
    const note = (what, told) => { if (told.length > 0) found[what].push(file, ...told); };
    page.on('console', m => m.type() === 'error' && note('no console error', [m.text()]));
    page.on('pageerror', e => note('no console error', [e.message]));
    page.on('request', r => /^(file|data|blob):/.test(r.url()) || note('no request leaves the machine', [r.url()]));
    await page.goto(address(file));
    await page.waitForFunction(() => Array.from(document.querySelectorAll('figure [role=img]')).every(box => box.classList.contains('js-plotly-plot')), null, { timeout: 180000 }).catch(() => { });
    note('every figure has drawn its traces', await page.evaluate(undrawn));
    note('every formula is typeset', await page.evaluate(untypeset));
    note('no link is broken', await page.evaluate(brokenLinks, [...pages, ...own].map(address)));
    note('every picture is there', await page.evaluate(async () => {
      const images = Array.from(document.images);
      for (const i of images) { i.loading = 'eager'; await i.decode().catch(() => { }); }
      return images.filter(i => i.naturalWidth === 0 || i.alt === '').map(i => i.src);
    }));
    const seen = await page.evaluate(() => [document.querySelectorAll('.js-plotly-plot').length, Array.from(document.querySelectorAll('.js-plotly-plot')).reduce((n, b) => n + b.data.length, 0), document.querySelectorAll('math').length]);
    counted.figures += seen[0]; counted.traces += seen[1]; counted.formulas += seen[2];
    // The first figure of lines answers the mouse with its values.
    const point = await page.evaluate(() => {
      for (const box of document.querySelectorAll('.js-plotly-plot')) {
        const trace = box._fullData.find(t => t.type === 'scatter' && t.visible === true && t.hoverinfo !== 'skip' && t.x.length > 2);
        if (!trace) continue;
        box.scrollIntoView({ block: 'center' });
        const x = box._fullLayout[trace.xaxis.replace('x', 'xaxis')], y = box._fullLayout[trace.yaxis.replace('y', 'yaxis')], plot = box.getBoundingClientRect();
        const i = Array.from(trace.x).findIndex((v, k) => k > 0 && [x.d2p(v), y.d2p(trace.y[k])].every(Number.isFinite) && x.d2p(v) > 5 && x.d2p(v) < x._length - 5 && y.d2p(trace.y[k]) > 5 && y.d2p(trace.y[k]) < y._length - 5);
        if (i < 0) continue;
        return { x: plot.left + x._offset + x.d2p(trace.x[i]), y: plot.top + y._offset + y.d2p(trace.y[i]) };
      }
      return null;
    });
    if (point) {
      lines++;
      await page.mouse.move(point.x - 3, point.y - 3);
      await page.mouse.move(point.x, point.y);
      hovered += await page.waitForSelector('.hoverlayer .hovertext text', { timeout: 30000 }).then(() => 1, () => 0);
    }
    for (const scheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme: scheme });
      await page.evaluate(axe + '; 0');
      const result = await page.evaluate(() => axe.run(document, { resultTypes: ['violations'], preload: false }));
      note(`no serious finding of axe, ${scheme}`, result.violations.filter(v => v.impact === 'serious' || v.impact === 'critical').map(v => `${v.id}: ${v.nodes.length} × ${v.nodes[0].html.slice(0, 160)}: ${v.nodes[0].failureSummary.split('\n')[1]}`));
    }
    for (const width of [390, 1920]) {
      await page.setViewportSize({ width, height: 900 });
      // Figures follow the page's width one after the other; a page of seventy takes a while.
      await page.waitForFunction(() => document.scrollingElement.scrollWidth <= innerWidth + 1, null, { timeout: 180000 }).catch(() => { });
      note(`no sideways scrolling at ${width} pixels`, await page.evaluate(scrolls));
    }
    await page.close();
  }
  for (const [what, told] of Object.entries(found)) check(what, told.length === 0, told.slice(0, 12));
  check('hovering shows values', lines > 0 && hovered === lines, [hovered, lines]);
  console.log(`counted ${JSON.stringify({ pages: pages.length, ...counted, hovered })}`);

  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  await page.goto(address('scoreboard.html'));
  const column = async (n, attribute) => page.$$eval(`#scoreboard tbody tr:not([hidden]) td:nth-child(${n})`, (cells, a) => cells.map(c => a ? c.dataset.value : c.textContent), attribute);
  const rising = values => values.every((v, i) => i === 0 || values[i - 1] <= v);
  await page.click('#scoreboard th:nth-child(4) button');
  const up = (await column(4, true)).filter(v => v !== '').map(Number);
  check('the scoreboard sorts numbers upward', up.length > 1 && rising(up), up.slice(0, 5));
  await page.click('#scoreboard th:nth-child(4) button');
  check('and downward', rising((await column(4, true)).filter(v => v !== '').map(Number).reverse()));
  check('and says so', await page.getAttribute('#scoreboard th:nth-child(4)', 'aria-sort') === 'descending');
  const all = (await column(2)).length, word = (await column(2))[0].split(' ')[0];
  await page.fill('#find', word);
  const some = await page.$$eval('#scoreboard tbody tr:not([hidden])', rows => rows.map(r => r.textContent.toLowerCase()));
  check('and filters', some.length > 0 && some.every(t => t.includes(word.toLowerCase())) && await page.textContent('#shown') === `${some.length} of ${all} claims`, [word, some.length]);

  await page.fill('#find', '');
  const kinds = (await page.$$eval('#kind option', options => options.map(o => o.value))).filter(Boolean);
  for (const kind of kinds) {
    await page.selectOption('#kind', kind);
    const of = await column(6);
    check(`and filters by the kind ${kind}`, of.length > 0 && of.every(k => k === kind) && (kinds.length === 1 || of.length < all), of.length);
  }

  const lesson = pages.find(p => readFileSync(join(site, p), 'utf8').includes('class="bet-answer"') && !p.includes('solutions'));
  await page.goto(address(lesson));
  await page.waitForFunction(() => Array.from(document.querySelectorAll('figure [role=img]')).every(box => box.classList.contains('js-plotly-plot')), null, { timeout: 180000 });
  check('code is folded', !await page.isVisible('details.code pre'));
  await page.click('details.code summary');
  check('and opens', await page.isVisible('details.code pre') && await page.$eval('details.code pre', p => p.querySelectorAll('span').length > 3));
  await page.click('#theme');
  const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.click('#theme');
  check('light and dark can be chosen', dark !== await page.evaluate(() => getComputedStyle(document.body).backgroundColor), dark);
  await page.click('#present');
  const visible = () => page.$$eval('section.step', steps => steps.map((s, i) => s.offsetHeight > 0 ? i : -1).filter(i => i >= 0));
  check('a presentation shows one section a screen', JSON.stringify(await visible()) === '[0]', await visible());
  const bet = await page.$$eval('section.step', steps => steps.findIndex(s => s.querySelector('.bet') && s.querySelector('.after-bet figure') && s.querySelector('.bet-answer')));
  while ((await visible())[0] < bet) await page.keyboard.press('ArrowRight');
  const step = `section.step:nth-of-type(${bet + 1})`, figure = `${step} .after-bet figure`;
  check('results wait for the bet', bet > 0 && !await page.isVisible(figure), bet);
  const choice = `${step} .bet li:nth-child(2)`;
  await page.click(`${choice} button:last-child`);
  await page.focus(`${choice} button:last-child`);
  await page.keyboard.press('Enter');
  check('hands are counted by mouse and by key', await page.textContent(`${choice} output`) === '2', await page.textContent(choice));
  const held = await page.$$eval(`${step} .bet`, bets => bets.length);
  for (let i = 0; i < held; i++) await page.keyboard.press('ArrowRight');
  check('and come when asked for', await page.isVisible(figure) && (await visible())[0] === bet, await visible());
  check('and the room is shown beside the answer', /b 2/.test(await page.textContent(`${step} .bet-answer .hands`)), await page.textContent(`${step} .bet-answer`));
  await page.waitForTimeout(1000);
  const tall = await page.$$eval(`${step} figure`, all => all.map(f => f.querySelector('.js-plotly-plot').getBoundingClientRect().height));
  check('a figure fits the screen', tall.length > 0 && tall.every(h => h <= 900 - 200), tall);
  await page.keyboard.press('c');
  const wide = await page.$$eval(`${step} details.code pre`, all => all.filter(p => p.offsetParent).map(p => p.scrollWidth - p.clientWidth));
  check('code opens by a key and a hundred columns fit the screen', wide.length > 0 && wide.every(w => w <= 0), wide);
  await page.keyboard.press('Escape');
  check('and the page is whole again', (await visible()).length > 1);
  const moving = pages.find(p => readFileSync(join(site, p), 'utf8').includes('figure-slider') && !p.includes('solutions'));
  await page.goto(address(moving));
  await page.waitForFunction(() => Array.from(document.querySelectorAll('figure [role=img]')).every(box => box.classList.contains('js-plotly-plot')), null, { timeout: 180000 });
  const range = '.figure-slider input';
  const state = () => page.$eval('.figure-slider', label => [label.querySelector('output').textContent, label.querySelector('input').getAttribute('aria-valuetext'), JSON.stringify(label.closest('figure').querySelector('.js-plotly-plot').data)]);
  const before = await state();
  await page.focus(range);
  await page.keyboard.press('ArrowLeft');
  const after = await state();
  check('a slider moves its figure by the arrow keys, and says where it is', before[0] !== after[0] && after[0] === after[1] && before[2] !== after[2], [before.slice(0, 2), after.slice(0, 2)]);
  await page.emulateMedia({ media: 'print' });
  check('on paper there are no controls', !await page.isVisible('header') && !await page.isVisible('.contents') && await page.isVisible('h1'));
  await browser.close();
});
