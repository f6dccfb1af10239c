// What the models are fed: noise, whose size is that of real images' once these are normalised.

const made = new Map();

/** Standard normal numbers for a shape, the same ones each time. */
export function normalNumbers(shape) {
  const key = shape.join("x");
  if (!made.has(key)) {
    const uniform = uniformNumbers(0);
    const numbers = new Float32Array(shape.reduce((product, length) => product * length, 1));
    for (let i = 0; i < numbers.length; i += 1) {
      numbers[i] = Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()); // Box and Muller 1958
    }
    made.set(key, numbers);
  }
  return made.get(key);
}

/** A source of numbers from 0 to below 1: mulberry32. */
function uniformNumbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
