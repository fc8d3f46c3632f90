// Predicts the rows of the file `inputs` by a module of WebAssembly, and writes the bits to the file `results`.
import { readFileSync, writeFileSync } from 'node:fs';

const [name, ...numbers] = process.argv.slice(2);
const [workspaceBytes, rows, samples, ...widths] = numbers.map(Number);
const { instance } = await WebAssembly.instantiate(readFileSync('network.wasm'), {});
const { memory, __heap_base: heap, [`${name}_predict`]: predict, [`${name}_self_test`]: test } = instance.exports;
const inputs = readFileSync('inputs');

let end = heap.value;
const take = (bytes) => {
  const at = Math.ceil(end / 64) * 64;
  end = at + bytes;
  return at;
};
const [workspace, x, request, result] = [workspaceBytes, inputs.length, 24, 4 * widths.length].map(take);
const places = widths.map((width) => take(4 * width * rows));
memory.grow(Math.ceil(end / 65536));

new Uint8Array(memory.buffer).set(inputs, x);
const view = new DataView(memory.buffer);
view.setBigUint64(request, 5n, true);
view.setBigUint64(request + 8, 7n, true);
view.setUint32(request + 20, samples, true);
places.forEach((place, i) => view.setUint32(result + 4 * i, place, true));
for (const status of [test(workspace), predict(request, x, rows, result, workspace)]) {
  if (status !== 0) throw new Error(`status ${status}`);
}
writeFileSync('results', Buffer.concat(places.map((place, i) => Buffer.from(memory.buffer, place, 4 * widths[i] * rows))));
