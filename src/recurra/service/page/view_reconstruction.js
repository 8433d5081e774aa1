// Shown behind page.js, whose helpers it uses.

// Rows that are drawn at once, and numbers of a step up to which a row is a series and no picture.
const DRAWN = 12, CURVES = 4;

/** The numbers of a field as lines (T, F); what is missing is null. */
const linesOf = (field) => [field].flat().map((line) => [line].flat().map((value) => (typeof value === "number" ? value : null)));
const shortly = (value) => (typeof value === "number" ? `${+value.toPrecision(6)}` : JSON.stringify(value));

/** Numbers as a picture, grey from `low` to `high`; what is missing has the colour of the page. */
function greys(lines, low, high, words) {
  const canvas = h("canvas", { class: "grey", width: lines[0].length, height: lines.length, role: "img", "aria-label": words });
  const context = canvas.getContext("2d");
  const image = context.createImageData(lines[0].length, lines.length);
  lines.flat().forEach((value, k) => {
    const grey = Math.max(0, Math.min(255, Math.round((255 * (value - low)) / (high - low || 1))));
    image.data.set(value === null ? [0, 0, 0, 0] : [grey, grey, grey, 255], 4 * k);
  });
  context.putImageData(image, 0, 0);
  return canvas;
}

/** What was read beside what is said of it: two pictures, or curves, or chords, or null where there are single numbers. */
function besideOne(name, read, said, words = ["as it was", "said again"]) {
  if (typeof said === "string") {
    const one = (line, word) => h("figure", { class: "seen" }, h("figcaption", {}, word), roll(chordsOf(`${line}`), 0));
    return h("div", {}, one(Array.isArray(read) ? read.map((step) => step.join("+") || "-").join(" ") : read, words[0]), one(said, words[1]));
  }
  const [was, now] = [linesOf(read), linesOf(said)];
  if (now.length < 2) return null;
  if (now[0].length > CURVES) {
    const known = [...was.flat(), ...now.flat()].filter((value) => value !== null);
    const [low, high] = [Math.min(...known), Math.max(...known)];
    const one = (lines, words) => h("figure", { class: "seen" }, greys(lines, low, high, `${name}, ${words}`), h("figcaption", {}, words));
    return h("div", { class: "pictures" }, one(was, words[0]), one(now, words[1]));
  }
  const column = (lines, d) => lines.map((line) => line[d]);
  return h("div", {}, ...now[0].map((_, d) => twoCurves(now[0].length > 1 ? `${name} ${d + 1}` : name, column(was, d), column(now, d), words)));
}

function twoCurves(name, was, now, words) {
  const { svg, draw, at } = axesOf([...was, ...now], now.length);
  svg.setAttribute("aria-label", `${name}: ${now.length} steps, ${words[0]} and ${words[1]}`);
  // A number that is missing parts the line.
  const runs = [[]];
  was.forEach((value, k) => (value === null ? runs.push([]) : runs[runs.length - 1].push(...at([value], k))));
  for (const run of runs) draw("polyline", { class: "past", points: run.join(" ") });
  draw("polyline", { class: "ahead", points: at(now, 0).join(" ") });
  return h("figure", { class: "forecast" },
    h("figcaption", {}, h("b", {}, name), h("span", { class: "past" }, words[0]), h("span", { class: "ahead" }, words[1])), svg);
}

/** "3-6" as [3, 6], "3" as [3, 3], null where nothing stands. Throws for anything else. */
function placesOf(text, name) {
  const found = /^\s*(\d+)\s*(?:-\s*(\d+)\s*)?$/u.exec(text);
  if (!found && text.trim()) throw new Refused(0, `${name}: expected places such as 3-6, from 1.`);
  return found ? [Number(found[1]), Number(found[2] || found[1])] : null;
}

/** The same numbers with what is hidden as null. lines, columns: from 1, both ends in; null is all */
function hiddenIn(field, lines, columns) {
  if (typeof field === "string" || (!lines && !columns)) return field;
  const inside = (places, k) => !places || (k + 1 >= places[0] && k + 1 <= places[1]);
  return linesOf(field).map((line, t) => line.map((value, d) => (inside(lines, t) && inside(columns, d) ? null : value)));
}

const facts = (pairs) => h("table", {}, h("tbody", {}, ...pairs.map(([name, value]) => h("tr", {}, h("th", {}, name), h("td", {}, value)))));

/** Rows whose missing numbers, or whose hidden places, are filled in. */
function filling(model, row) {
  const lines = h("input", { type: "text", size: 5, maxlength: 15, placeholder: "3-6", "aria-label": "Lines to hide" });
  const columns = h("input", { type: "text", size: 5, maxlength: 15, placeholder: "3-6", "aria-label": "Columns to hide" });
  const fill = () =>
    latest(async (signal) => {
      const asking = row();
      if (asking === null) return show(), note(["Give a row in which numbers are null, or one and the lines to hide."]);
      const places = { lines: placesOf(lines.value, "lines"), columns: placesOf(columns.value, "columns") };
      const found = await asked("/inpaint", { model: model.name, records: [asking], ...places }, signal);
      const drawn = Object.entries(found.rows[0]).map(([name, value]) =>
        besideOne(name, hiddenIn(asking[name], places.lines, places.columns), value, ["what is known", "filled in"]));
      const errors = Object.entries(found.errors).map(([name, error]) => [`mean squared error, ${name}`, shortly(error)]);
      show(...drawn, facts([["numbers filled in", `${found.filled[0]}`], ...errors]));
      note(found.notes);
    });
  return [h("button", { type: "button", onclick: fill }, "Fill in"), h("label", {}, "Hide lines", lines), h("label", {}, "columns", columns)];
}

/** A row as a few bits, and back. */
function compressing(model, row) {
  const bits = h("input", { type: "number", min: 1, max: 24, value: 8, "aria-label": "Bits of each number of a code" });
  const compress = () =>
    latest(async (signal) => {
      const asking = row();
      if (asking === null) return show(), note(["Give a row to compress."]);
      const made = await asked("/compress", { model: model.name, records: [asking], bits: Number(bits.value) }, signal);
      const found = await asked("/decompress", { model: model.name, data: made.data }, signal);
      const drawn = Object.entries(found.rows[0]).map(([name, value]) => besideOne(name, asking[name], value, ["as it was", "out of its code"]));
      const file = Uint8Array.from(atob(made.data), (one) => one.charCodeAt(0));
      const link = h("a", { href: URL.createObjectURL(new Blob([file])), download: "row.codes" }, "row.codes");
      show(...drawn, facts([
        ["bytes of the file", file.length.toLocaleString()], ["bits a value", shortly(made.bits_a_value)],
        ["mean squared error", shortly(made.error)], ["without rounding", shortly(made.unrounded)],
      ]), h("p", {}, link));
      note(["Most of so small a file names the run and guards it; with many rows codes are what counts."]);
    });
  return [h("button", { type: "button", onclick: compress }, "Compress"), h("label", {}, "Bits", bits)];
}

/** A row as numbers or as JSON, and what is said of it again; rows that are drawn, where codes are distributions. */
views.set("reconstruction", (model) => {
  const given = () => {
    if (text().trim().startsWith("{")) return JSON.parse(text());
    try {
      return { [model.input]: JSON.parse(text()) };
    } catch {
      return { [model.input]: text() }; // chords, or numbers as a cell of a table has them
    }
  };
  const numbers = (row, said) =>
    h("table", {}, h("tbody", {},
      h("tr", {}, h("th", {}, "mean squared error"), h("td", {}, said.error === null ? "" : shortly(said.error))),
      ...Object.entries(said.reconstruction).filter(([, value]) => typeof value === "number").map(([name, value]) =>
        h("tr", {}, h("th", {}, name), h("td", {}, shortly(value))))));
  const row = () => {
    if (!text().trim()) return null;
    try {
      return given();
    } catch {
      return null;
    }
  };
  const answer = () =>
    latest(async (signal) => {
      if (!text().trim()) return show(), note([]);
      const asking = row();
      if (asking === null) return show(), note(["Expected a row as JSON, such as [0, 1.5, null] or {\"a\": 1, \"b\": 2}."]);
      const found = await asked("/predict", { model: model.name, records: [asking] }, signal);
      const said = found.predictions[0];
      const drawn = Object.entries(said.reconstruction).map(([name, value]) => besideOne(name, asking[name], value));
      show(...drawn, numbers(asking, said));
      note(found.notes);
    });
  const temperature = h("input", { type: "range", value: 1, min: 0, max: 2, step: 0.1, "aria-label": "Temperature" });
  const shown = h("span", {}, "1");
  temperature.addEventListener("input", () => (shown.textContent = temperature.value));
  const drawRows = () =>
    latest(async (signal) => {
      const seed = Math.floor(Math.random() * 2 ** 31);
      const body = { model: model.name, number: DRAWN, seed, temperature: Number(temperature.value) };
      const found = await asked("/generate_rows", body, signal);
      const each = found.pictures
        ? [h("div", { class: "pictures many" }, ...found.pictures.map((one, n) => greys(one, 0, 255, `drawn row ${n + 1}`)))]
        : found.rows.every((one) => Object.values(one).every((value) => typeof value === "string"))
        ? found.rows.flatMap((one) => Object.values(one).map((line) => roll(chordsOf(line), 0)))
        : found.rows.map((one) => h("p", { class: "chords" }, JSON.stringify(one, (_, value) => (typeof value === "number" ? +value.toPrecision(4) : value))));
      show(...each, h("p", { class: "help" }, `Seed ${seed}`));
      note(found.notes);
    });
  const controls = [h("button", { class: "main", type: "submit" }, "Say again")];
  if (model.uses.includes("generate")) {
    controls.push(h("button", { type: "button", onclick: drawRows }, "Draw rows"), h("label", {}, "Temperature", temperature, shown));
  }
  if (model.uses.includes("inpaint")) controls.push(...filling(model, row));
  if (model.uses.includes("compress")) controls.push(...compressing(model, row));
  return { prompt: "Numbers as a list, or a row as JSON; null is missing", controls, typed: () => {}, entered: answer };
});
