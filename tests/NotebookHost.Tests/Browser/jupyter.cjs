// node jupyter.cjs ADDRESS NOTEBOOK KERNEL [PICTURE]: opens a notebook in Jupyter's own page and runs it; with our kernel ("ours") it also
// interrupts a loop and completes. The notebook's cells: a number, an endless loop, the number again, a figure, a table, a long run, a mistake.
const { open, check, main } = require('./browser.cjs');

const [address, notebook, kernel, picture] = process.argv.slice(2);

main(async () => {
  const browser = await open();
  const page = await browser.newPage({ viewport: { width: 1280, height: 1000 } });
  const url = new URL(address);
  url.pathname = '/notebooks/' + notebook;
  await page.goto(url.href);
  // The page's own word for a kernel that is there and idle.
  await page.waitForSelector('#kernel_indicator_icon.kernel_idle_icon', { state: 'attached', timeout: 180000 });
  check('the page shows the kernel by its name', (await page.textContent('#kernel_indicator')).includes('.NET (C#)'), await page.textContent('#kernel_indicator'));
  const cell = n => page.locator('.code_cell').nth(n);
  const run = async n => { await cell(n).locator('.CodeMirror').click(); await page.keyboard.press('Control+Enter'); };
  await run(0);
  await cell(0).locator('.output_result').waitFor({ timeout: 180000 });
  check('a cell runs and shows its value', (await cell(0).locator('.output_result').innerText()).includes('41'), await cell(0).innerText());
  check('HTML is shown', await cell(0).locator('.output_html b').count() === 1, await cell(0).innerHTML());
  if (kernel === 'ours') {
    await run(1);
    await page.waitForSelector('#kernel_indicator_icon.kernel_busy_icon', { state: 'attached', timeout: 180000 });
    await page.waitForTimeout(1500);
    await page.click('button[data-jupyter-action="jupyter-notebook:interrupt-kernel"]');
    await cell(1).locator('.output_error').waitFor({ timeout: 180000 });
    check('its button interrupts a loop', (await cell(1).locator('.output_error').innerText()).includes('Interrupted'), await cell(1).innerText());
  }
  await run(2);
  await cell(2).locator('.output_result').waitFor({ timeout: 180000 });
  check('and the state is kept', (await cell(2).locator('.output_result').innerText()).includes('42'), await cell(2).innerText());
  await run(3);
  await cell(3).locator('.js-plotly-plot .scatterlayer .trace').first().waitFor({ state: 'attached', timeout: 180000 }).catch(() => { });
  check('a figure draws its trace', await cell(3).locator('.js-plotly-plot .scatterlayer .trace').count() === 1, (await cell(3).innerText()).slice(0, 300));
  await run(4);
  await cell(4).locator('.output_html table').waitFor({ timeout: 180000 });
  check('results are a table', (await cell(4).locator('.output_html th').allInnerTexts()).join('|') === 'Method|Lost at 93' && await cell(4).locator('.output_html td').count() === 4, await cell(4).innerText());
  await run(5);
  await cell(5).locator('.output_html progress').waitFor({ timeout: 180000 });
  const moved = await page.waitForFunction(() => /^500 steps in/.test(document.querySelectorAll('.code_cell')[5].querySelector('[role=status]')?.innerText.trim() ?? ''), null, { timeout: 180000 }).then(() => true, () => false);
  check('progress moves in its place to its end', moved && await cell(5).locator('progress').count() === 1 && await cell(5).locator('progress').evaluate(p => p.value === p.max), await cell(5).innerText());
  await run(6);
  await cell(6).locator('.output_error, .output_stderr').first().waitFor({ timeout: 180000 });
  check('a mistake is shown with its line', /line 2, column 9|\(2,9\)/.test(await cell(6).innerText()), await cell(6).innerText());
  if (picture) await page.screenshot({ path: picture, fullPage: true });
  if (kernel === 'ours') {
    await cell(2).locator('.CodeMirror').click();
    await page.keyboard.press('Control+End');
    await page.keyboard.type(';');
    await page.keyboard.press('Enter');
    await page.keyboard.type('Consol');
    await page.keyboard.press('Tab');
    check('Tab completes', await page.waitForFunction(() => document.querySelector('.completions') !== null || Array.from(document.querySelectorAll('.CodeMirror')).some(c => c.CodeMirror.getValue().includes('Console')), null, { timeout: 180000 }).then(() => true, () => false));
  }
  await browser.close();
});
