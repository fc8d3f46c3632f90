// Opens a page as a file in headless Chromium and does there what a user would: `node browser.mjs CHROMIUM PAGE [FOLDER]` prints, as JSON, what
// the page answers for its test images and for digits drawn with the mouse; in FOLDER it puts pictures.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [chromium, file, folder] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), 'bayeslift-page-'));
const options = ['--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', `--user-data-dir=${profile}`, '--remote-debugging-pipe'];
const browser = spawn(chromium, options, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });

// commands and answers are texts that end with a zero, by the third and fourth file
const waiting = new Map();
const failures = [];
let number = 0, session, left = '', onLoad;
const loaded = new Promise((done) => (onLoad = done));
browser.stdio[4].on('data', (bytes) => {
  const texts = (left + bytes).split('\0');
  left = texts.pop();
  for (const message of texts.map((text) => JSON.parse(text))) {
    if (message.method === 'Page.loadEventFired') onLoad();
    if (message.method === 'Runtime.exceptionThrown') failures.push(message.params.exceptionDetails);
    const { done, failed } = waiting.get(message.id) ?? {};
    if (message.error) failed?.(new Error(message.error.message));
    else done?.(message.result);
  }
});
const ask = (method, params = {}) => new Promise((done, failed) => {
  waiting.set(++number, { done, failed });
  browser.stdio[3].write(`${JSON.stringify({ id: number, method, params, sessionId: session })}\0`);
});

/** The value of an expression in the page. */
async function evaluate(expression) {
  const { result, exceptionDetails } = await ask('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value;
}

const frame = () => evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
const mouse = (type, [x, y], buttons) => ask('Input.dispatchMouseEvent', { type, x, y, button: 'left', buttons, clickCount: 1 });

/** Draws strokes, whose points are from 0 to 1, and gives what the page shows of them. */
async function draw(strokes) {
  await evaluate('document.getElementById("clear").click()');
  const box = await evaluate('(({ left, top, width, height }) => ({ left, top, width, height }))(paper.getBoundingClientRect())');
  const place = ([x, y]) => [box.left + x * box.width, box.top + y * box.height];
  for (const stroke of strokes) {
    await mouse('mousePressed', place(stroke[0]), 1);
    for (const point of stroke) await mouse('mouseMoved', place(point), 1);
    await mouse('mouseReleased', place(stroke.at(-1)), 0);
  }
  await frame();
  return evaluate('({ digit: document.body.dataset.digit, pixels: pixelsOf(strokes), text: document.querySelector("main").innerText })');
}

/** Points on an arc of an ellipse, by degrees from the right, clockwise as the page's axes are. */
const arc = (x, y, rx, ry, from, to) => Array.from({ length: 25 }, (_, i) => {
  const angle = ((from + ((to - from) * i) / 24) * Math.PI) / 180;
  return [x + rx * Math.cos(angle), y + ry * Math.sin(angle)];
});

// as a hand may write them, of several sizes and places
const DRAWN = {
  0: [arc(0.5, 0.5, 0.2, 0.32, -90, 270)],
  1: [[[0.4, 0.35], [0.52, 0.2], [0.52, 0.8]]],
  2: [[...arc(0.5, 0.36, 0.17, 0.17, -170, 30), [0.34, 0.8], [0.7, 0.8]]],
  3: [[...arc(0.48, 0.34, 0.17, 0.15, -150, 90), ...arc(0.48, 0.65, 0.2, 0.17, -90, 150)]],
  4: [[[0.42, 0.2], [0.3, 0.55], [0.72, 0.55]], [[0.6, 0.35], [0.58, 0.82]]],
  5: [[[0.68, 0.2], [0.4, 0.2], [0.37, 0.46], ...arc(0.5, 0.62, 0.19, 0.18, -120, 140)]],
  6: [[[0.58, 0.16], [0.42, 0.35], [0.34, 0.6], ...arc(0.5, 0.66, 0.16, 0.16, 180, -180)]],
  7: [[[0.3, 0.22], [0.68, 0.22], [0.45, 0.8]], [[0.4, 0.52], [0.62, 0.52]]],
  8: [[...arc(0.5, 0.35, 0.13, 0.14, 90, 450), ...arc(0.5, 0.66, 0.17, 0.17, -90, 270)]],
  9: [[...arc(0.5, 0.36, 0.15, 0.15, 0, -360), [0.64, 0.5], [0.55, 0.82]]],
};

/** How many of 300 scribbles, curves that turn by chance, are named with more than 90 %. Runs in the page. */
function scribbles() {
  let state = 12345;
  const random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), 1 | state);
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word;
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
  const stroke = () => {
    let [x, y, angle, turn] = [random(), random(), random() * 6.28, random() - 0.5];
    return Array.from({ length: 30 }, () => {
      turn = (turn + (random() - 0.5) * 0.5) * 0.9;
      angle += turn;
      return [(x += 0.05 * Math.cos(angle)), (y += 0.05 * Math.sin(angle))];
    });
  };
  const scribble = () => Array.from({ length: 1 + Math.floor(random() * 3) }, stroke);
  return Array.from({ length: 300 }, scribble).filter((strokes) => Math.max(...page.answer(page.pixelsOf(strokes)).probabilities) > 0.9).length;
}

async function main() {
  const { targetId } = await ask('Target.createTarget', { url: 'about:blank' });
  ({ sessionId: session } = await ask('Target.attachToTarget', { targetId, flatten: true }));
  await ask('Page.enable');
  await ask('Runtime.enable');
  const picture = async (name) => {
    if (!folder) return;
    await frame();
    const { data } = await ask('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true });
    writeFileSync(join(folder, `${name}.png`), Buffer.from(data, 'base64'));
  };
  const size = (width, height, scale) =>
    ask('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: scale, mobile: width < 500 });
  await size(1180, 940, 1);
  await ask('Page.navigate', { url: `${pathToFileURL(resolve(file))}#image=17` });
  await loaded;
  await evaluate('page.ready');
  await frame();
  const linked = await evaluate('document.getElementById("source").textContent');
  await picture('linked');
  // all results of all test images, by two numbers of samples
  const told = await evaluate(`Object.fromEntries([1, 64].map((samples) => [samples, DATA.images.map(({ pixels }, row) =>
    Object.fromEntries(Object.entries(page.answer(pixels, { samples, firstRow: row })).map(([name, array]) => [name, [...array]])))]))`);
  const drawn = {};
  for (const [digit, strokes] of Object.entries(DRAWN)) {
    drawn[digit] = await draw(strokes);
    await picture(`drawn-${digit}`);
  }
  if (folder) {
    await draw([[[0.2, 0.3], [0.8, 0.35], [0.25, 0.6], [0.75, 0.7], [0.5, 0.2]]]);
    await picture('scribble');
    await evaluate('showImage(DATA.hard[0])');
    await picture('hard');
    await ask('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: 'dark' }] });
    await picture('dark');
    await size(390, 844, 2);
    await picture('phone-dark');
    await ask('Emulation.setEmulatedMedia', { features: [] });
    await draw(DRAWN[3]);
    await picture('phone');
    await evaluate('document.getElementById("clear").click()');
    await picture('empty');
  }
  await evaluate('document.getElementById("clear").click()');
  await frame();
  const cleared = await evaluate('[document.body.dataset.digit, document.getElementById("sentence").textContent]');
  const sure = await evaluate(`(${scribbles})()`);
  return { linked, told, drawn, cleared, sure, failures };
}

let status = 0;
try {
  console.log(JSON.stringify(await main()));
} catch (error) {
  console.error(error, JSON.stringify(failures));
  status = 1;
}
browser.kill('SIGKILL');
await new Promise((done) => browser.on('close', done));
rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
process.exit(status);
