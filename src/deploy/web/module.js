// A Bayesian neural network, compiled by Bayeslift @VERSION@ to WebAssembly: answers for rows of numbers, and how far they are to be trusted.
//
//     const @NAME@ = require('./@NAME@.js');          in node; a page has a script element with this file as its source, or with its text,
//                                                     which defines `@NAME@`, also where the page is opened as a file
//
//     const network = await @NAME@.load();
//     const answer = network.predict(rows);           // @INPUTS@ numbers a row, one row after the other
//
// Needs nothing else. Answers have the bits of the library that trained the network.
(() => {
  'use strict';

  const INPUTS = @INPUTS@, SAMPLES = @SAMPLES@, SEED = @SEED@n, WORKSPACE_BYTES = @WORKSPACE@;
  // the results, and how many numbers each has a row
  const WIDTHS = { @WIDTHS@ };
  // the arrays of what is no number
  const TYPES = { abstain: Uint8Array, label: Uint32Array, samples: Uint32Array, certain: Uint8Array };
  const STATUSES = [
@STATUSES@
  ];

  /** What the network refused, or found: `status` is its name in @NAME@.h. */
  class NetworkError extends Error {
    constructor(number) {
      const [status, text] = STATUSES[number];
      super(`${text} (${status})`);
      this.status = status;
    }
  }

  function check(status) {
    if (status !== 0) throw new NetworkError(status);
  }

  /** The network in memory of its own. */
  class Network {
    #exports;
    #end;

    constructor(exports) {
      this.#exports = exports;
    }

    /** The next bytes of memory that nothing else has. */
    #take(bytes) {
      const at = Math.ceil(this.#end / @ALIGN@) * @ALIGN@;
      this.#end = at + bytes;
      const missing = this.#end - this.#exports.memory.buffer.byteLength;
      if (missing > 0) this.#exports.memory.grow(Math.ceil(missing / 65536));
      return at;
    }

    /**
     * Answers for rows: @INPUTS@ numbers each, one row after the other. Gives an array for each result, row after row:
     *
@RESULTS@
     *
     * The answer for a row depends on its inputs, its number and the options alone, to the bit. Throws a `NetworkError` for what the network
     * refuses, a `RangeError` for another length.
     */
    predict(rows, options = {}) {
      return this.#ask(this.#exports.@NAME@_predict, rows, options, { ...WIDTHS, @ABSTAIN_WIDTH@ }, {});
    }

@DECIDE@    /** What a function answers: its results, and what it decides besides, with how many numbers a row has of each. */
    #ask(call, rows, { samples = SAMPLES, seed = SEED, firstRow = 0, firstSample = 0 }, results, decided) {
      const count = rows.length / INPUTS;
      if (!Number.isInteger(count)) throw new RangeError(`${rows.length} numbers came, expected ${INPUTS} for each row`);
      this.#end = this.#exports.__heap_base.value;
      const workspace = this.#take(WORKSPACE_BYTES), inputs = this.#take(@BYTES_OF_A_NUMBER@ * rows.length), request = this.#take(24);
      const widths = { ...results, ...decided }, names = Object.keys(widths), bytes = 4 * Object.keys(results).length;
      // the lists of places of both, one after the other
      const result = this.#take(4 * names.length), decision = Object.keys(decided).length ? [result + bytes] : [];
      const places = names.map((name) => this.#take((TYPES[name] ?? @ARRAY@).BYTES_PER_ELEMENT * widths[name] * count));
      const memory = this.#exports.memory.buffer, view = new DataView(memory);
      new @ARRAY@(memory, inputs, rows.length).set(rows);
      view.setBigUint64(request, BigInt(seed), true);
      view.setBigUint64(request + 8, BigInt(firstRow), true);
      view.setUint32(request + 16, firstSample, true);
      view.setUint32(request + 20, samples, true);
      places.forEach((place, i) => view.setUint32(result + 4 * i, place, true));
      check(call(request, inputs, count, result, ...decision, workspace));
      const array = (name, i) => [name, new (TYPES[name] ?? @ARRAY@)(memory, places[i], widths[name] * count).slice()];
      return Object.fromEntries(names.map(array));
    }

    /** Compares some bits with those of the machine that compiled the network. Throws a `NetworkError` if they differ. */
    selfTest() {
      this.#end = this.#exports.__heap_base.value;
      check(this.#exports.@NAME@_self_test(this.#take(WORKSPACE_BYTES)));
    }
  }

  /** The network, ready to predict. */
  async function load() {
    const code = Uint8Array.from(atob(WASM), (character) => character.charCodeAt(0));
    const { instance } = await WebAssembly.instantiate(code, {});
    return new Network(instance.exports);
  }

  const WASM =
    '@WASM@';

  const network = {
    load, NetworkError, inputs: INPUTS, outputs: @OUTPUTS@, samples: SAMPLES, seed: SEED, largestInput: @LARGEST@,
    inputNames: [@INPUT_NAMES@], outputNames: [@OUTPUT_NAMES@], digest: '@DIGEST@',
  };
  if (typeof module === 'object' && module.exports) module.exports = network;
  else globalThis.@NAME@ = network;
})();
