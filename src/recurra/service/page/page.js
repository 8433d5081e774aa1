"use strict";

// Characters of a text, unless a view takes more.
const LONGEST_TEXT = 10000;

// ---- the service -------------------------------------------------------------------------------------------------

const COOKIE = "recurra_key";
// Where the service is, behind whatever proxy: where this script came from.
const ROOT = new URL(".", document.currentScript.src).pathname.replace(/\/$/u, "");
const $ = (id) => document.getElementById(id);
let key = sessionStorage.getItem(COOKIE) || "";

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function call(path, body, signal) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const options = { headers, signal };
  if (body !== undefined) {
    options.method = "POST";
    options.body = JSON.stringify(body);
    headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(ROOT + path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The service does not answer. Is it still running?");
  }
  if (!answer.ok) {
    const said = await answer.json().catch(() => ({ error: `The service answered ${answer.status}.` }));
    throw new Refused(answer.status, said.error);
  }
  return answer;
}

const asked = async (path, body, signal) => (await call(path, body, signal)).json();

/** Calls `heard(name, data)` for each server-sent event of an answer. */
async function listen(path, body, signal, heard) {
  const answer = await call(path, body, signal);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    waiting += value;
    const events = waiting.split("\n\n");
    waiting = events.pop();
    for (const event of events) {
      const [name, data] = event.split("\n");
      heard(name.slice("event: ".length), JSON.parse(data.slice("data: ".length)));
    }
  }
}

/** Streams an answer; `grown(text)` after each token. Returns the whole text. */
async function generate(body, signal, grown) {
  let text = "";
  await listen("/generate", body, signal, (name, data) => {
    if (name === "error") throw new Refused(0, data.error);
    text = data.text !== undefined ? data.text : text + data.piece;
    grown(text);
  });
  return text;
}

// ---- small helpers -----------------------------------------------------------------------------------------------

/** An element: h("p", {class: "x"}, "text", child). Text is always text, never markup. */
function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key.startsWith("--")) element.style.setProperty(key, value);
    else if (value !== false && value !== null) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** A function that runs `work` when it has not been called again for some milliseconds. */
function settled(work, milliseconds) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...given), milliseconds);
  };
}

function show(...children) {
  $("result").replaceChildren(...children.filter((child) => child !== null));
  $("result").hidden = children.length === 0;
  $("result").classList.remove("waiting");
}

function complain(error) {
  $("problem").hidden = !error;
  $("problem").textContent = error ? error.message : "";
}

function note(sentences) {
  $("notes").replaceChildren(...sentences.map((sentence) => h("li", {}, sentence)));
  $("notes").hidden = sentences.length === 0;
}

/** One answer at a time: a new question stops the one before. `work(signal)` must not touch the page once stopped. */
let running = new AbortController();
async function latest(work) {
  running.abort();
  const mine = (running = new AbortController());
  $("result").classList.add("waiting");
  try {
    await work(mine.signal);
    if (!mine.signal.aborted) complain(null);
  } catch (error) {
    if (mine.signal.aborted) return;
    if (error.status === 401) return askForKey();
    show();
    note([]);
    complain(error);
  } finally {
    if (running === mine) $("result").classList.remove("waiting");
  }
}

const text = () => $("text").value;

/** A field for each text that a model reads beside the first: {controls, body(), ready()}. `typed` hears of every change. */
function beside(model, typed = () => {}) {
  const fields = model.inputs.slice(1).map((name) => [name, h("textarea", { dir: "auto", rows: 5, maxlength: 10000, spellcheck: "false", oninput: () => typed() })]);
  const values = () => Object.fromEntries(fields.map(([name, field]) => [name, field.value]));
  const body = () => (fields.length ? { model: model.name, records: [{ [model.input]: text(), ...values() }] } : { model: model.name, texts: [text()] });
  return {
    controls: fields.map(([name, field]) => h("label", { class: "wide" }, name, field)),
    body,
    values,
    ready: () => text().trim() && fields.every(([, field]) => field.value.trim()),
  };
}

// ---- one view a kind of answer -------------------------------------------------------------------------------------
// A view gets the model, as /models has it, and returns {prompt, controls, typed(), entered()}: what stands above and below the text, what
// happens while one types, and on Enter (Shift+Enter is a new line).

const BARS = 8;

function labelView(model) {
  let all = false;
  const more = beside(model, settled(() => answer(), 400));

  function bars(row) {
    const said = new Set(row.labels || [row.label]);
    const order = Object.entries(row.probabilities).sort((a, b) => b[1] - a[1]);
    const shown = all ? order : order.slice(0, BARS);
    const list = h("dl", { class: "bars" });
    for (const [label, share] of shown) {
      list.append(
        h("dt", { class: said.has(label) ? "said" : "", dir: "auto" }, label),
        h("dd", {}, h("div", { class: "bar" }, h("i", { "--w": `${(100 * share).toFixed(2)}%` }))),
        h("dd", { class: "share" }, percent(share)),
      );
    }
    const others = h("button", { type: "button", class: "more", onclick: () => ((all = !all), show(...bars(row))) });
    others.textContent = all ? "Show fewer" : `Show all ${order.length} labels`;
    return order.length > BARS ? [list, others] : [list];
  }

  const answer = () =>
    latest(async (signal) => {
      if (!more.ready()) return show(), note([]);
      const found = await asked("/predict", more.body(), signal);
      show(...bars(found.predictions[0]));
      note(found.notes);
    });
  return { prompt: model.inputs.length > 1 ? model.input : "Text to classify", controls: more.controls, typed: settled(answer, 150), entered: answer };
}

function fillView(model) {
  function bars(guesses) {
    const list = h("dl", { class: "bars" });
    for (const one of guesses) {
      list.append(
        h("dt", { dir: "auto" }, one.piece),
        h("dd", {}, h("div", { class: "bar" }, h("i", { "--w": `${(100 * one.probability).toFixed(2)}%` }))),
        h("dd", { class: "share" }, percent(one.probability)),
      );
    }
    return list;
  }

  const answer = () =>
    latest(async (signal) => {
      if (!text().trim()) return show(), note([]);
      const found = await asked("/predict", { model: model.name, texts: [text()], options: { n_best: BARS } }, signal);
      const row = found.predictions[0];
      const places = row.masks.map((guesses, k) => [h("p", { class: "place" }, `[MASK] ${k + 1}`), bars(guesses)]);
      const shown = places.length > 1 ? places.flat() : places.flat().slice(1);
      show(h("p", { class: "output", dir: "auto" }, row.output), ...shown);
      note(found.notes);
    });
  return { prompt: "Text with [MASK] in place of what is to be told", controls: [], typed: settled(answer, 250), entered: answer };
}

function textView(model) {
  let attends = true;
  const beam = h("select", {}, ...[1, 3, 5, 10].map((n) => h("option", { value: n }, n === 1 ? "1 (greedy)" : `${n}`)));
  beam.value = "5";

  async function predicted(signal) {
    const n = Number(beam.value);
    const body = { model: model.name, texts: [text()], options: { beam: n, n_best: Math.min(n, 3) } };
    if (attends) body.options.attention = true;
    try {
      return await asked("/predict", body, signal);
    } catch (error) {
      if (!(attends && error.status === 422 && error.message.startsWith("attention:"))) throw error;
      attends = false;
      return predicted(signal);
    }
  }

  const answer = () =>
    latest(async (signal) => {
      if (!text().trim()) return show(), note([]);
      const output = h("p", { class: "output writing", dir: "auto" });
      show(output);
      if (model.generates && Number(beam.value) === 1) {
        await generate({ model: model.name, text: text() }, signal, (so_far) => (output.textContent = so_far));
      }
      const found = await predicted(signal);
      const row = found.predictions[0];
      output.textContent = row.output;
      output.classList.remove("writing");
      const others = (row.n_best || []).slice(1);
      show(
        output,
        h("p", { class: "sure" }, `Mean probability of a token: ${percent(row.score)}`),
        others.length ? h("h2", {}, "Other answers") : null,
        others.length
          ? h("ol", { class: "others", start: 2 }, ...others.map((one) =>
              h("li", {}, h("span", { dir: "auto" }, one.output), h("span", { class: "share" }, percent(one.score)))))
          : null,
        ...(row.attention ? attention(row.attention) : []),
      );
      window.dispatchEvent(new Event("resize"));
      note(found.notes);
    });
  return {
    prompt: "Text to translate",
    controls: [
      h("button", { class: "main", type: "submit" }, "Translate"),
      h("label", {}, "Beam", beam),
      h("span", { class: "hint" }, "Enter translates, Shift+Enter is a new line"),
    ],
    typed: () => {},
    entered: answer,
  };
}

const SVG = "http://www.w3.org/2000/svg";
// Weights below this are not drawn: a line would be thinner than a pixel.
const FAINT = 0.04;

/** Two rows of tokens with lines between them, as wide as their weights; one token of the answer can be chosen. */
function attention({ rows, columns, weights }) {
  const shown = (token) => (token === "<eos>" ? "end" : token.trim() === "" ? "␣" : token);
  const sources = columns.map((token) => h("span", { class: token.trim() ? "" : "space", dir: "auto" }, shown(token)));
  const targets = rows.map((token, n) =>
    h("button", {
      type: "button", "aria-pressed": "false", dir: "auto", onclick: () => choose(chosen === n ? null : n),
      onmouseenter: () => look(n), onmouseleave: () => look(chosen), onfocus: () => look(n), onblur: () => look(chosen),
    }, shown(token)));
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  const pair = h("div", { class: "pair" }, h("div", { class: "tokens" }, ...sources), h("div", { class: "tokens" }, ...targets), svg);
  let chosen = null;

  function choose(n) {
    chosen = n;
    targets.forEach((token, k) => token.setAttribute("aria-pressed", k === n));
    look(n);
  }
  function look(n) {
    pair.classList.toggle("one", n !== null);
    sources.forEach((token, k) => token.style.setProperty("--a", n === null ? 0 : (0.85 * weights[n][k]).toFixed(3)));
    svg.querySelectorAll("line").forEach((line) => line.classList.toggle("on", Number(line.dataset.row) === n));
    if (n !== null) {
      const best = columns.map((token, k) => [weights[n][k], shown(token)]).sort((a, b) => b[0] - a[0]).slice(0, 3);
      help.textContent = `${shown(rows[n])} looked at ${best.map(([w, t]) => `${t} (${percent(w)})`).join(", ")}`;
    } else help.textContent = HELP;
  }
  function draw() {
    if (!pair.isConnected) return window.removeEventListener("resize", draw);
    svg.replaceChildren();
    const middle = (token) => token.offsetLeft + token.parentNode.offsetLeft + token.offsetWidth / 2;
    const top = sources[0] ? sources[0].parentNode.offsetHeight : 0;
    weights.forEach((row, n) => row.forEach((weight, k) => {
      if (weight < FAINT) return;
      const line = document.createElementNS(SVG, "line");
      const ends = { x1: middle(sources[k]), y1: top + 3, x2: middle(targets[n]), y2: targets[n].parentNode.offsetTop - 3 };
      for (const [name, value] of Object.entries(ends)) line.setAttribute(name, value);
      line.setAttribute("stroke-width", (1 + 4 * weight).toFixed(2));
      line.setAttribute("stroke-opacity", (0.12 + 0.7 * weight).toFixed(3));
      line.dataset.row = n;
      svg.append(line);
    }));
    look(chosen);
  }
  const HELP = "Lines show what each token of the answer looked at; choose one to see it alone.";
  const help = h("p", { class: "help" }, HELP);
  window.addEventListener("resize", draw);
  return [h("h2", {}, "Attention: the text above, the answer below"), h("div", { class: "looked", tabindex: "0", "aria-label": "attention" }, pair), help];
}

function tagView(model) {
  const colours = new Map();
  const colour = (label) => {
    if (!colours.has(label)) colours.set(label, `l${colours.size % 8}`);
    return colours.get(label);
  };
  const sure = (part) => (part.score === undefined ? "" : percent(part.score));

  function spans(row) {
    // Places count characters as Python does; JavaScript's strings count halves of some.
    const characters = Array.from(row.text);
    const cut = (start, end) => characters.slice(start, end).join("");
    const shown = h("p", { class: "tagged", dir: "auto" });
    let at = 0;
    for (const span of row.spans) {
      const mark = h("mark", { class: colour(span.label), title: sure(span) }, cut(span.start, span.end), h("small", {}, span.label));
      shown.append(cut(at, span.start), mark);
      at = span.end;
    }
    shown.append(cut(at, characters.length));
    if (!row.spans.length) return [shown, h("p", { class: "help" }, "Nothing was found in this text.")];
    const head = h("tr", {}, h("th", {}, "Text"), h("th", {}, "Label"), h("th", { class: "n" }, "Probability"));
    const rows = row.spans.map((span) =>
      h("tr", {}, h("td", { dir: "auto" }, span.text), h("td", {}, span.label), h("td", { class: "n" }, sure(span))));
    return [shown, h("table", {}, head, ...rows)];
  }

  const words = (row) => [
    h("div", { class: "words", dir: "auto" }, ...row.tokens.map((token) =>
      h("span", { class: colour(token.label), title: sure(token) }, token.text, h("small", {}, token.label)))),
  ];

  const answer = () =>
    latest(async (signal) => {
      if (!text().trim()) return show(), note([]);
      const found = await asked("/predict", { model: model.name, texts: [text()] }, signal);
      const row = found.predictions[0];
      show(...(row.spans ? spans(row) : words(row)));
      note(found.notes);
    });
  return { prompt: "Text to mark", controls: [], typed: settled(answer, 150), entered: answer };
}

// Enough to choose from, few enough to read while typing.
const WORDS = 6;

function continuationView(model) {
  const number = (name, value, bounds) => h("input", { type: "range", value, "aria-label": name, ...bounds });
  const temperature = number("Temperature", 0.8, { min: 0, max: 1.5, step: 0.1 });
  const shown = h("span", {}, "0.8");
  temperature.addEventListener("input", () => (shown.textContent = temperature.value));
  const length = h("select", {}, ...[20, 50, 100, 200, 500].map((n) => h("option", { value: n }, `${n}`)));
  length.value = "100";
  const write = h("button", { class: "main", type: "submit" }, "Continue");
  const stop = h("button", { type: "button", hidden: "", onclick: () => running.abort() }, "Stop");
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Suggested words" });
  let words = [];
  let current = null;

  /** The text with a suggested word in the place of the letters that it begins with. */
  function taken(word) {
    const typed = /[^\s]*$/u.exec(text())[0];
    let same = Math.min(typed.length, word.length);
    while (same > 0 && !typed.endsWith(word.slice(0, same))) same -= 1;
    $("text").value = `${text()}${word.slice(same)} `;
    $("text").focus();
    suggest();
  }

  const suggest = () =>
    model.suggests && latest(async (signal) => {
      const found = await asked("/suggest", { model: model.name, text: text(), number: WORDS }, signal);
      words = found.suggestions.map((one) => one.word);
      chips.replaceChildren(...found.suggestions.map((one) =>
        h("button", { type: "button", dir: "auto", onclick: () => taken(one.word) }, one.word, h("small", {}, percent(one.probability)))));
      if (!words.length) chips.append(h("span", { class: "help" }, "No word fits here."));
      if (!chips.isConnected) show(chips, h("p", { class: "help" }, "Tab takes the first word; Enter continues the text."));
    });

  async function entered() {
    const before = text();
    const seed = Math.floor(Math.random() * 2 ** 31);
    const options = { length: Number(length.value), temperature: Number(temperature.value), seed };
    const added = h("span");
    const written = h("p", { class: "written writing", dir: "auto" }, h("b", {}, before), added);
    // Words are joined by spaces: one is there already.
    const joined = (so_far) => (/\s$/u.test(before) ? so_far.replace(/^ /u, "") : so_far);
    current = written;
    await latest(async (signal) => {
      show(written, h("p", { class: "help" }, `Seed ${seed}`));
      write.disabled = true;
      stop.hidden = false;
      await generate({ model: model.name, text: before, options }, signal, (so_far) => (added.textContent = joined(so_far)));
      note([]);
    });
    if (current !== written) return;
    write.disabled = false;
    stop.hidden = true;
    written.classList.remove("writing");
    written.dataset.done = "";
    const keep = () => (($("text").value = before + added.textContent), $("text").focus(), suggest());
    if (written.isConnected) $("result").append(h("button", { type: "button", class: "more", onclick: keep }, "Take this into the text"));
  }

  return {
    prompt: "Begin a text",
    controls: [
      write, stop, h("label", {}, "Tokens", length), h("label", {}, "Temperature", temperature, shown),
      h("span", { class: "hint" }, "Enter continues the text, Shift+Enter is a new line"),
    ],
    typed: settled(suggest, 60),
    entered,
    keyed: (event) => {
      if (event.key !== "Tab" || event.shiftKey || !words.length || !chips.isConnected) return false;
      taken(words[0]);
      return true;
    },
  };
}

const LETTERS = { C: 0, D: 2, E: 4, F: 5, G: 7, A: 9, B: 11 };
// Seconds of a step, of a note when it is heard.
const STEP = 0.5;

/** "C4+E4 - 62" as lists of MIDI numbers; what is no note is left to the service to refuse. */
function chordsOf(line) {
  const number = (word) => {
    const found = /^(?:([A-G])(#|b)?(-?\d+)|(\d+))$/u.exec(word);
    if (!found) return NaN;
    if (found[4]) return Number(found[4]);
    return 12 * (Number(found[3]) + 1) + LETTERS[found[1]] + { "#": 1, b: -1, "": 0 }[found[2] || ""];
  };
  return line.trim().split(/\s+/u).filter(Boolean).map((step) => step.split("+").map(number).filter((n) => !Number.isNaN(n)));
}

/** Notes over steps, the high ones above; those before `from` were given. */
function roll(chords, from) {
  const notes = chords.flat();
  const low = Math.min(...notes, 72) - 1;
  const high = Math.max(...notes, 48) + 1;
  const [width, height] = [14, 7];
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${Math.max(chords.length, 16) * width} ${(high - low + 1) * height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "piano roll");
  const put = (name, values) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
    svg.append(element);
  };
  for (let note = low; note <= high; note += 1) {
    if ([1, 3, 6, 8, 10].includes(((note % 12) + 12) % 12)) put("rect", { class: "black", x: 0, y: (high - note) * height, width: "100%", height });
  }
  chords.forEach((chord, step) => chord.forEach((note) =>
    put("rect", { class: step < from ? "note given" : "note", x: step * width + 1, y: (high - note) * height, width: width - 2, height, rx: 2 })));
  return h("div", { class: "roll", tabindex: "0", "aria-label": "piano roll" }, svg);
}

/** Plays chords with soft waves; returns what stops it. */
function sounding(chords, ended) {
  const audio = new AudioContext();
  const all = audio.createGain();
  all.gain.value = 0.12;
  all.connect(audio.destination);
  chords.forEach((chord, step) => chord.forEach((note) => {
    const wave = audio.createOscillator();
    const loud = audio.createGain();
    const begin = audio.currentTime + 0.05 + step * STEP;
    wave.type = "triangle";
    wave.frequency.value = 440 * 2 ** ((note - 69) / 12);
    loud.gain.setValueAtTime(0, begin);
    loud.gain.linearRampToValueAtTime(1, begin + 0.02);
    loud.gain.exponentialRampToValueAtTime(0.01, begin + STEP * 1.1);
    wave.connect(loud).connect(all);
    wave.start(begin);
    wave.stop(begin + STEP * 1.2);
  }));
  const timer = setTimeout(stop, (chords.length + 1) * STEP * 1000);
  function stop() {
    clearTimeout(timer);
    if (audio.state !== "closed") audio.close();
    ended();
  }
  return stop;
}

function chordView(model) {
  const temperature = h("input", { type: "range", value: 0.7, min: 0, max: 1.5, step: 0.1, "aria-label": "Temperature" });
  const shown = h("span", {}, "0.7");
  temperature.addEventListener("input", () => (shown.textContent = temperature.value));
  const length = h("select", {}, ...[16, 32, 64, 128].map((n) => h("option", { value: n }, `${n}`)));
  length.value = "32";
  let silence = null;

  function listenable(line) {
    const button = h("button", { type: "button", onclick: () => {
      if (silence) return silence();
      button.textContent = "Stop";
      silence = sounding(chordsOf(line), () => ((silence = null), (button.textContent = "Listen")));
    } }, "Listen");
    return button;
  }

  const draw = () => {
    const chords = chordsOf(text());
    if (chords.flat().length) show(roll(chords, chords.length), listenable(text()));
    else show();
    complain(null);
  };

  async function entered() {
    const before = text().trim();
    const given = chordsOf(before).length;
    const seed = Math.floor(Math.random() * 2 ** 31);
    const options = { length: Number(length.value), temperature: Number(temperature.value), seed };
    if (silence) silence();
    await latest(async (signal) => {
      let whole = before;
      await generate({ model: model.name, text: before, options }, signal, (so_far) => {
        whole = before + so_far;
        show(roll(chordsOf(whole), given), h("p", { class: "help" }, `Seed ${seed}`));
      });
      const keep = () => (($("text").value = whole), $("text").focus(), draw());
      show(
        roll(chordsOf(whole), given), listenable(whole), h("p", { class: "chords" }, whole), h("p", { class: "help" }, `Seed ${seed}`),
        h("button", { type: "button", class: "more", onclick: keep }, "Take this into the text"),
      );
      note([]);
    });
  }

  return {
    prompt: "Begin a piece, such as C4+E4+G4 F4+A4+C5, or leave it empty",
    controls: [
      h("button", { class: "main", type: "submit" }, "Go on"), h("label", {}, "Steps", length),
      h("label", {}, "Temperature", temperature, shown), h("span", { class: "hint" }, "Enter goes on"),
    ],
    typed: settled(draw, 60),
    entered,
  };
}

// Steps of the past that a chart of a forecast shows, in forecasts, and at least.
const PAST = 3, FEWEST = 24;
// What an answer holds besides its columns.
const BESIDE = new Set(["series", "time", "note"]);

const columnsOf = (said) => Object.keys(said).filter((name) => !BESIDE.has(name));
const levelOf = (column) => Number(column.slice(column.lastIndexOf("_q") + 2));

/** A round step of an axis, so that about `number` of them make `span`: 1, 2 or 5 times a power of ten. */
function roundStep(span, number) {
  const rough = span / number, power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].find((k) => k * power >= rough) * power;
}

/** The numbers of a field up to the last that is known; what is missing on the way is null. */
function numbersOf(field) {
  const values = [field].flat(2).map((value) => (typeof value === "number" ? value : null));
  while (values.length && values[values.length - 1] === null) values.pop();
  return values;
}

/** Charts of a forecast, one a target: what was, what is said, and what lies between the outermost quantiles. */
function forecastCharts(row, said) {
  const columns = columnsOf(said);
  return columns.filter((name) => row[name] !== undefined).map((name) => {
    const levels = columns.filter((key) => key.startsWith(`${name}_q`)).sort((a, b) => levelOf(a) - levelOf(b));
    const band = levels.length > 1 ? [levels[0], levels[levels.length - 1]] : [];
    return forecastChart(name, numbersOf(row[name]).slice(-Math.max(PAST * said.time.length, FEWEST)), said, band);
  });
}

function forecastChart(name, past, said, band) {
  const ahead = said[name], [low, high] = band.map((key) => said[key]), now = past.length;
  const { svg, draw, at, right, foot } = axesOf([...past, ...ahead, ...(low || []), ...(high || [])], now + ahead.length);
  svg.setAttribute("aria-label", `${name}: ${now} steps of the past, and the forecast of ${ahead.length}`);
  if (low) draw("polygon", { class: "band", points: [...at(low, now), ...at(high, now).reverse()].join(" ") });
  // A number that is missing parts the line.
  const runs = [[]];
  past.forEach((value, k) => (value === null ? runs.push([]) : runs[runs.length - 1].push(...at([value], k))));
  for (const run of runs) draw("polyline", { class: "past", points: run.join(" ") });
  const known = past.slice(now - 1);
  draw("polyline", { class: "ahead", points: at([...known, ...ahead], now - known.length).join(" ") });
  const [line] = at([0], now - 0.5)[0].split(",");
  draw("line", { class: "now", x1: line, x2: line, y1: 10, y2: foot - 18 });
  draw("text", { x: Number(line) + 5, y: foot }, `${said.time[0]}`);
  if (ahead.length > 1) draw("text", { x: right, y: foot, "text-anchor": "end" }, `${said.time[said.time.length - 1]}`);
  const key = (kind, words) => h("span", { class: kind }, words);
  const between = band.map((one) => one.slice(name.length + 1)).join(" to ");
  return h("figure", { class: "forecast" },
    h("figcaption", {}, h("b", {}, name), key("past", "what was"), key("ahead", "forecast"), ...(low ? [key("band", between)] : [])), svg);
}

/** A drawing with a vertical axis for these values, and `steps` places side by side; at(values, first) gives points. */
function axesOf(values, steps) {
  const [width, height, left, right, top, bottom] = [640, 260, 58, 626, 10, 228];
  const some = values.filter((value) => Number.isFinite(value)), least = Math.min(...some), most = Math.max(...some);
  const step = roundStep(most - least || Math.abs(most) || 1, 4), floor = Math.floor(least / step) * step;
  const ceiling = Math.max(Math.ceil(most / step) * step, floor + step);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("role", "img");
  const draw = (tag, attributes, text = "") => {
    const element = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    svg.append(element);
  };
  const y = (value) => top + ((bottom - top) * (ceiling - value)) / (ceiling - floor);
  const at = (some, first) => some.map((value, k) => `${(left + ((right - left) * (first + k)) / Math.max(steps - 1, 1)).toFixed(1)},${y(value).toFixed(1)}`);
  for (let tick = floor; tick <= ceiling + step / 2; tick += step) {
    draw("line", { class: "grid", x1: left, x2: right, y1: y(tick), y2: y(tick) });
    draw("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, `${+tick.toPrecision(6)}`);
  }
  return { svg, draw, at, right, foot: height - 10 };
}

/** A row of lists as JSON, a chart of its forecast, and a table: a line for each step to come. */
function forecastView(model) {
  const table = (said) => {
    const names = columnsOf(said);
    const cells = (values, tag) => values.map((value) => h(tag, {}, typeof value === "number" ? `${+value.toPrecision(6)}` : value));
    return h("table", {},
      h("thead", {}, h("tr", {}, ...cells(["time", ...names], "th"))),
      h("tbody", {}, ...said.time.map((time, k) => h("tr", {}, ...cells([`${time}`, ...names.map((name) => said[name][k])], "td")))),
    );
  };
  const answer = () =>
    latest(async (signal) => {
      if (!text().trim()) return show(), note([]);
      let row = null;
      try {
        row = JSON.parse(text());
      } catch (error) {
        return show(), note([`This is no row as JSON: ${error.message}`]);
      }
      const found = await asked("/predict", { model: model.name, records: [row] }, signal);
      const said = found.predictions[0];
      show(...forecastCharts(row, said), table(said));
      note(found.notes);
    });
  const button = h("button", { class: "main", type: "submit" }, "Forecast");
  return { prompt: "A series as JSON: a list of times and one of numbers, by their columns", controls: [button], typed: () => {}, entered: answer };
}

/** A series as numbers, or a row as JSON where it has several columns, and a table of what is said of it. */
function numbersView(model) {
  const words = model.kind === "text";
  const more = beside(words ? model : { ...model, inputs: [model.input] });
  const table = (numbers) =>
    h("table", {}, h("tbody", {}, ...Object.entries(numbers).map(([name, value]) =>
      h("tr", {}, h("th", {}, name), h("td", {}, `${+value.toPrecision(6)}`)))));
  const answer = () =>
    latest(async (signal) => {
      const given = text().trim();
      if (!more.ready()) return show(), note([]);
      const body = given.startsWith("{") ? { model: model.name, records: [JSON.parse(given)] } : more.body();
      const found = await asked("/predict", body, signal);
      show(table(found.predictions[0].numbers));
      note(found.notes);
    });
  const button = h("button", { class: "main", type: "submit" }, "Predict");
  return { prompt: words ? model.input : "Numbers, one a step, or a row as JSON", controls: [...more.controls, button], typed: () => {}, entered: answer };
}

/** One of several views of a model, which is chosen by its name; the first to begin with. longest: characters that its text may have */
function chooser(named) {
  const choice = h("select", { "aria-label": "What to do" }, ...Object.keys(named).map((one) => h("option", {}, one)));
  const current = () => named[choice.value];
  const made = { prompt: "", controls: [], typed: () => current().typed(), entered: () => current().entered(), keyed: (event) => Boolean(current().keyed && current().keyed(event)) };
  const taken = () => {
    $("text").maxLength = current().longest || LONGEST_TEXT;
    made.silent = Boolean(current().silent);
    made.prompt = current().prompt;
    made.controls = [h("label", {}, choice), ...current().controls];
  };
  choice.addEventListener("change", () => {
    running.abort();
    taken();
    $("text").hidden = made.silent;
    $("prompt").textContent = made.prompt;
    $("controls").replaceChildren(...made.controls);
    show();
    note([]);
  });
  taken();
  return made;
}

// By what a model answers; the file view_KIND.js beside this one, which is served behind it, adds its own.
const views = new Map([
  ["label", labelView], ["text", textView], ["tags", tagView], ["continuation", continuationView], ["chords", chordView],
  ["forecast", forecastView], ["numbers", numbersView], ["fill", fillView],
]);

/** For a kind of answer without a view of its own: the answer as it is. */
function plainView(model) {
  const answer = () =>
    latest(async (signal) => {
      if (!text().trim()) return show(), note([]);
      const found = await asked("/predict", { model: model.name, texts: [text()] }, signal);
      show(h("pre", { class: "written" }, JSON.stringify(found.predictions[0], null, 1)));
      note(found.notes);
    });
  return { prompt: "Text", controls: [h("button", { class: "main", type: "submit" }, "Ask")], typed: () => {}, entered: answer };
}

// ---- the page ----------------------------------------------------------------------------------------------------

let models = [];
let view = null;
// What stands in the text because it is an example, and not because somebody wrote it.
let example = "";

/** Put an example into the text, selected, so that typing takes its place. */
function offer(text) {
  example = text;
  $("text").value = text;
  $("text").select();
}

/** A button for each example of a model; it fills the text, and asks. */
function examples(model) {
  const short = (text) => (text.length > 60 ? `${text.slice(0, 59)}…` : text);
  const one = (given) =>
    h("button", { type: "button", dir: "auto", title: given, onclick: () => (offer(given), view.entered()) }, short(given));
  $("examples").replaceChildren(...(model.examples.length ? [h("span", {}, "Try"), ...model.examples.map(one)] : []));
}

function choose(name) {
  const found = models.find((one) => one.name === name) || models[0];
  // An example is a text for the first field, and says nothing without the others.
  // Examples of word vectors are whole texts.
  const model = found.inputs.length > 1 || found.similar ? { ...found, examples: [] } : found;
  running.abort();
  show();
  note([]);
  complain(null);
  $("text").maxLength = LONGEST_TEXT;
  view = (views.get(model.similar ? "words" : model.uses.includes("chat") ? "chat" : model.rate ? "hearing" : model.kind === "image" ? "picture" : model.answer) || plainView)(model);
  $("prompt").textContent = view.prompt;
  $("text").hidden = Boolean(view.silent);
  $("controls").replaceChildren(...view.controls);
  $("report").hidden = !model.report;
  if (model.report) $("report").href = `${ROOT}/models/${encodeURIComponent(model.name)}/report`;
  $("about").textContent = `${model.name}: ${model.task.replaceAll("_", " ")}, ${model.parameters.toLocaleString()} parameters.`;
  $("model").value = model.name;
  document.title = `${model.name} · recurra`;
  history.replaceState(null, "", `#${encodeURIComponent(model.name)}`);
  examples(model);
  if (view.silent) return view.controls[0].focus();
  $("text").focus();
  if (!text() || text() === example) offer(model.examples[0] || "");
  if (text()) view.typed();
}

async function start() {
  try {
    models = (await asked("/models")).models;
  } catch (error) {
    return error.status === 401 ? askForKey() : complain(error);
  }
  $("key-form").hidden = true;
  $("ask").hidden = false;
  $("model").replaceChildren(...models.map((one) => h("option", { value: one.name }, `${one.name} (${one.task.replaceAll("_", " ")})`)));
  $("choice").hidden = models.length < 2;
  choose(nameInAddress());
}

function nameInAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return ""; // a % that begins no escape: somebody's typing
  }
}

function askForKey() {
  complain(key ? new Error("This key is not the right one.") : null);
  $("ask").hidden = true;
  $("key-form").hidden = false;
  show();
  $("key").focus();
}

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key = $("key").value.trim();
  sessionStorage.setItem(COOKIE, key);
  // For reports, which the browser opens by itself, and WebSockets, which have no headers of ours.
  for (const path of ["models", "hear"]) document.cookie = `${COOKIE}=${key}; SameSite=Strict; Path=${ROOT}/${path}`;
  complain(null);
  start();
});
$("model").addEventListener("change", () => choose($("model").value));
$("ask").addEventListener("submit", (event) => (event.preventDefault(), view.entered()));
$("text").addEventListener("input", () => view.typed());
$("text").addEventListener("keydown", (event) => {
  if (view.keyed && view.keyed(event)) return event.preventDefault();
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  view.entered();
});
start();
