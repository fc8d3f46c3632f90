'use strict';

// Draws, makes 8 x 8 pixels of it as the data set has them, asks the network, and shows what it says.

const SIZE = 8, BITMAP = 32, CLASSES = 10;
// images of the data set are as high as its bitmap, mostly at most so wide, and so much of them is ink: on average, and hardly more or less
const WIDEST = 24, INK = DATA.ink;
const element = (id) => document.getElementById(id);
const paper = element('paper');

let network;
// strokes are lists of points, from 0 to 1; or an image of the test part is shown
let strokes = [], shown = null, pen = null, isPlanned = false;

// ---- from strokes to pixels

/** Whether each pixel of the bitmap is ink, if strokes are drawn into it by a pen of this radius. */
function inked(strokes, radius) {
  const points = strokes.flat();
  const [xs, ys] = [points.map((point) => point[0]), points.map((point) => point[1])];
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = Math.min((BITMAP - 2 * radius) / Math.max(bottom - top, 1e-6), (WIDEST - 2 * radius) / Math.max(right - left, 1e-6));
  const place = (stroke) => stroke.map(([x, y]) => [
    BITMAP / 2 + (x - (left + right) / 2) * scale,
    BITMAP / 2 + (y - (top + bottom) / 2) * scale,
  ]);
  const bits = new Uint8Array(BITMAP * BITMAP);
  for (const stroke of strokes.map(place)) {
    for (let i = 0; i < stroke.length; i++) {
      const [ax, ay] = stroke[Math.max(i - 1, 0)], [bx, by] = stroke[i];
      const [dx, dy] = [bx - ax, by - ay], length = dx * dx + dy * dy;
      const from = (a, b) => Math.max(Math.floor(Math.min(a, b) - radius), 0);
      const to = (a, b) => Math.min(Math.ceil(Math.max(a, b) + radius), BITMAP);
      for (let y = from(ay, by); y < to(ay, by); y++) {
        for (let x = from(ax, bx); x < to(ax, bx); x++) {
          const [px, py] = [x + 0.5 - ax, y + 0.5 - ay];
          const along = length > 0 ? Math.min(Math.max((px * dx + py * dy) / length, 0), 1) : 0;
          if (Math.hypot(px - along * dx, py - along * dy) <= radius) bits[y * BITMAP + x] = 1;
        }
      }
    }
  }
  return bits;
}

/** 8 x 8 counts of ink in blocks of 4 x 4, from 0 to 16: strokes as high as the bitmap, by a pen that leaves as much ink as the data set's. */
function pixelsOf(strokes) {
  let [thin, thick] = [0.5, 7];
  for (let i = 0; i < 12; i++) {
    const radius = (thin + thick) / 2;
    if (inked(strokes, radius).reduce((sum, bit) => sum + bit, 0) < INK) thin = radius;
    else thick = radius;
  }
  const bits = inked(strokes, thick), pixels = new Array(SIZE * SIZE).fill(0);
  const block = BITMAP / SIZE;
  bits.forEach((bit, i) => {
    pixels[Math.floor(i / BITMAP / block) * SIZE + Math.floor((i % BITMAP) / block)] += bit;
  });
  return pixels;
}

// ---- asking

/** What the network says of pixels from 0 to 16. */
function answer(pixels, options = {}) {
  return network.predict(Float32Array.from(pixels, (pixel) => pixel / 16), options);
}

/** The probabilities of each sample alone. */
function eachSample(pixels, samples) {
  return Array.from({ length: samples }, (_, i) => answer(pixels, { samples: 1, firstSample: i }).probabilities);
}

// ---- showing

const rows = Array.from({ length: CLASSES }, (_, digit) => {
  const row = document.createElement('div');
  row.className = 'row';
  row.innerHTML = `<b>${digit}</b><div class="track"><i></i><canvas></canvas></div><output></output>`;
  element('bars').append(row);
  return { row, bar: row.querySelector('i'), dots: row.querySelector('canvas'), value: row.querySelector('output') };
});

const percent = (p) => `${(100 * p).toFixed(p > 0.9995 || p < 0.0005 ? 0 : 1)} %`;
const samplesNow = () => 2 ** Number(element('samples').value);

/** A dot for each sample, at its probability; how high in the bar tells nothing. */
function drawDots(canvas, probabilities) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext('2d');
  context.scale(ratio, ratio);
  context.fillStyle = getComputedStyle(document.body).color;
  context.globalAlpha = Math.min(0.75, 0.2 + 8 / probabilities.length);
  probabilities.forEach((p, i) => {
    context.beginPath();
    context.arc(3 + p * (width - 6), 3 + (((i * 0.618034) % 1) * (height - 6)), 1.6, 0, 7);
    context.fill();
  });
}

function drawPixels(pixels) {
  const context = element('seen').getContext('2d');
  const style = getComputedStyle(document.documentElement);
  context.globalAlpha = 1;
  context.fillStyle = style.getPropertyValue('--track');
  context.fillRect(0, 0, 64, 64);
  context.fillStyle = style.getPropertyValue('--ink');
  pixels.forEach((pixel, i) => {
    context.globalAlpha = pixel / 16;
    context.fillRect((i % SIZE) * 8, Math.floor(i / SIZE) * 8, 8, 8);
  });
}

function drawPaper(pixels) {
  const context = paper.getContext('2d');
  const style = getComputedStyle(document.documentElement);
  const size = paper.width;
  context.globalAlpha = 1;
  context.clearRect(0, 0, size, size);
  context.strokeStyle = context.fillStyle = style.getPropertyValue('--ink');
  if (shown !== null) {
    pixels.forEach((pixel, i) => {
      context.globalAlpha = pixel / 16;
      const at = [i % SIZE, Math.floor(i / SIZE)].map((place) => size * (0.1 + 0.1 * place));
      context.fillRect(...at, size / 10 + 1, size / 10 + 1);
    });
    return;
  }
  context.lineWidth = size * 0.07;
  context.lineCap = context.lineJoin = 'round';
  for (const stroke of strokes) {
    context.beginPath();
    stroke.forEach(([x, y], i) => (i ? context.lineTo(x * size, y * size) : context.moveTo(x * size, y * size)));
    if (stroke.length === 1) context.lineTo(stroke[0][0] * size, stroke[0][1] * size);
    context.stroke();
  }
}

/** How many of a hundred test images have less doubt, by as many samples. */
function rank(doubt) {
  return Math.min(Math.floor((100 * DATA.doubts.filter((other) => other < doubt).length) / DATA.doubts.length), 99);
}

function show() {
  isPlanned = false;
  const isEmpty = shown === null && strokes.length === 0;
  element('hint').hidden = !isEmpty;
  const pixels = isEmpty ? [] : shown === null ? pixelsOf(strokes) : DATA.images[shown].pixels;
  drawPaper(pixels);
  drawPixels(pixels);
  const samples = samplesNow();
  element('count').textContent = samples;
  document.body.dataset.digit = '';
  if (isEmpty) {
    element('digit').textContent = '?';
    element('sentence').textContent = 'Nothing is drawn yet.';
    element('source').textContent = '8 × 8 pixels, once there is something';
    element('time').textContent = '–';
    for (const { row, bar, dots, value } of rows) {
      row.classList.remove('best');
      bar.style.width = 0;
      value.textContent = '';
      drawDots(dots, []);
    }
    showDoubt(0, 0);
    return;
  }
  // several times, since clocks of browsers are coarse
  const repeats = 5, begun = performance.now();
  let told;
  for (let i = 0; i < repeats; i++) told = answer(pixels, { samples });
  const time = (performance.now() - begun) / repeats;
  const { probabilities, expected_entropy: [data], mutual_information: [weights], predictive_entropy: [doubt] } = told;
  const each = eachSample(pixels, samples);
  const best = probabilities.indexOf(Math.max(...probabilities));
  rows.forEach(({ row, bar, dots, value }, digit) => {
    row.classList.toggle('best', digit === best);
    bar.style.width = `${100 * probabilities[digit]}%`;
    value.textContent = percent(probabilities[digit]);
    drawDots(dots, each.map((one) => one[digit]));
  });
  const less = rank(doubt);
  const beside = less >= 50
    ? `It doubts this more than ${less} of 100 test images.`
    : `It doubts this less than ${100 - less} of 100 test images.`;
  element('digit').textContent = best;
  element('sentence').innerHTML = `${percent(probabilities[best])} sure.<small>${beside}</small>`;
  element('source').textContent = shown === null
    ? 'your drawing, scaled and inked as its training images are'
    : `test image ${DATA.images[shown].number}, a ${DATA.images[shown].label}: it was not trained on this`;
  element('time').textContent = time < 1 ? `${(1000 * time).toFixed(0)} µs` : `${time.toFixed(time < 10 ? 2 : 1)} ms`;
  showDoubt(data, weights);
  document.body.dataset.digit = best;
}

function showDoubt(data, weights) {
  const part = (doubt) => `${(100 * doubt) / Math.log(CLASSES)}%`;
  element('data-part').style.width = part(data);
  element('weights-part').style.width = part(weights);
  element('data').textContent = data.toFixed(2);
  element('weights').textContent = weights.toFixed(2);
  element('total').textContent = (data + weights).toFixed(2);
}

/** Shows what there is, once a frame. */
function plan() {
  if (!isPlanned) requestAnimationFrame(show);
  isPlanned = true;
}

// ---- what the user does

function pointOf(event) {
  const box = paper.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

paper.addEventListener('pointerdown', (event) => {
  if (shown !== null) [shown, strokes] = [null, []];
  pen = event.pointerId;
  paper.setPointerCapture(pen);
  strokes.push([pointOf(event)]);
  plan();
});
paper.addEventListener('pointermove', (event) => {
  if (event.pointerId !== pen) return;
  for (const one of event.getCoalescedEvents?.() ?? [event]) strokes.at(-1).push(pointOf(one));
  plan();
});
for (const end of ['pointerup', 'pointercancel']) {
  paper.addEventListener(end, (event) => {
    if (event.pointerId === pen) pen = null;
  });
}

function showImage(number) {
  [shown, strokes] = [number, []];
  plan();
}

const any = (numbers) => numbers[Math.floor(Math.random() * numbers.length)];
element('clear').addEventListener('click', () => {
  [shown, strokes] = [null, []];
  plan();
});
element('test').addEventListener('click', () => showImage(any([...DATA.images.keys()])));
element('hard').addEventListener('click', () => showImage(any(DATA.hard.filter((number) => number !== shown))));
element('samples').addEventListener('input', plan);
window.addEventListener('resize', plan);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', plan);

const { accuracy, images, samples } = DATA;
element('facts').textContent =
  `Of ${images.length} test images it names ${percent(accuracy)} right, by ${samples} samples. It knows digits alone, and its doubt does not ` +
  'tell what is none: of 300 scribbles it gave a digit more than 90 % in seven of ten.';

// for tests, and for who looks: `#image=12` shows that test image
globalThis.page = { answer, pixelsOf, ready: digits.load().then((loaded) => {
  network = loaded;
  network.selfTest();
  const asked = /^#image=(\d+)$/.exec(location.hash);
  if (asked && images[asked[1]]) shown = Number(asked[1]);
  plan();
}) };
