// What the scripts beside this one share: a headless Chromium, and one line of output a check.
const { existsSync } = require('fs');
const { chromium } = require('playwright-core');

const path = [process.env.CHROME, '/usr/bin/chromium'].find(p => p && existsSync(p));

// A page may take long where tests run beside it; how long is no property of it.
exports.open = async () => {
  const browser = await chromium.launch({
    executablePath: path,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const newPage = browser.newPage.bind(browser);
  browser.newPage = async options => {
    const page = await newPage(options);
    page.setDefaultTimeout(180000);
    return page;
  };
  return browser;
};

exports.check = (name, holds, told) => console.log((holds ? 'ok ' : 'FAILED ') + name + (holds ? '' : ': ' + JSON.stringify(told)));

// Ends however it went: a browser that is left open would keep the process.
exports.main = act => act().then(() => process.exit(0), problem => { console.log('FAILED ' + problem.stack); process.exit(1); });
