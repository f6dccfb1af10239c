// What this device and browser are, as far as a browser tells.

const AGENT = "mnas_evo web agent 1";
const PROTOCOL = 1;

/** The greeting's facts. `asked` is what the host wants, `runtime` what the measuring worker found. */
export async function deviceFacts(asked, runtime) {
  const known = (await navigator.userAgentData?.getHighEntropyValues?.(HINTS).catch(() => null)) ?? null;
  const device = known?.platform ? fromHints(known) : fromUserAgent(navigator.userAgent);
  const cores = navigator.hardwareConcurrency;
  return {
    name: device.short,
    soc: cores ? `${device.machine}, ${cores} cores` : device.machine,
    os: device.system,
    runtime: asked.runtime,
    runtime_version: runtime.version,
    threads: runtime.threads,
    precision: asked.precision,
    governor: null,
    protocol: PROTOCOL,
    agent: `${AGENT}, ${runtime.isolated ? "isolated" : "not isolated"}, ${device.browser}`,
  };
}

const HINTS = ["platform", "platformVersion", "model", "architecture", "bitness", "fullVersionList"];

/** From the client hints of Chromium's relatives. */
function fromHints(hints) {
  const machine = [hints.model, hints.architecture, hints.bitness && `${hints.bitness} bit`].filter(Boolean).join(" ");
  const brands = hints.fullVersionList ?? [];
  const named = brands.filter(({ brand }) => !/not.a.brand/i.test(brand.replace(/[^a-z]+/gi, " ")));
  const brand = named.find(({ brand }) => brand !== "Chromium") ?? named[0];
  return {
    short: hints.model || hints.platform,
    machine: machine || hints.platform,
    system: `${hints.platform} ${hints.platformVersion ?? ""}`.trim(),
    browser: brand ? `${brand.brand} ${brand.version}` : browserOf(navigator.userAgent),
  };
}

/** From the user agent's text: its first bracket names machine and system, whose version is no part of the machine. */
export function fromUserAgent(text) {
  const inside = (/\(([^)]*)\)/.exec(text)?.[1] ?? "unknown").split(";").map((word) => word.trim());
  const words = inside.filter((word) => !/^(rv:.*|U|K|wv|Mobile|Tablet|X11|compatible|)$/.test(word));
  const systems = [/Android/, /OS|Windows/, /Linux/].map((kind) => words.find((word) => kind.test(word)));
  const system = systems.find(Boolean) ?? words[0];
  const machine = words.filter((word) => word !== system && word !== "Linux").join(" ");
  return {
    short: words[0],
    machine: machine || system.replace(/ [\d._]+$/, ""),
    system: system.replace(/^CPU (.*) like Mac OS X$/, "$1").replace(/OS .*/, (named) => named.replace(/_/g, ".")),
    browser: browserOf(text),
  };
}

function browserOf(text) {
  const marks = [
    [/EdgA?\/([\d.]+)/, "Edge"],
    [/SamsungBrowser\/([\d.]+)/, "Samsung Internet"],
    [/(?:Firefox|FxiOS)\/([\d.]+)/, "Firefox"],
    [/(?:Chrome|CriOS)\/([\d.]+)/, "Chrome"],
    [/Version\/([\d.]+).*Safari/, "Safari"],
  ];
  for (const [mark, name] of marks) {
    const found = mark.exec(text);
    if (found) return `${name} ${found[1]}`;
  }
  return text.slice(0, 60) || "unknown browser";
}
