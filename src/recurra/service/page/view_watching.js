// Shown behind page.js, whose helpers it uses.

// Characters that may be pasted, and points that a chart has at most: of more, the largest of neighbours.
const LONGEST_CSV = 1000000, MOST_DRAWN = 1200;

/** Groups of neighbours, so that not more than MOST_DRAWN are left: their largest value, or the first where `first`. */
function thinned(values, first = false) {
  const size = Math.ceil(values.length / MOST_DRAWN);
  if (size < 2) return values;
  const groups = Array.from({ length: Math.ceil(values.length / size) }, (_, k) => values.slice(k * size, (k + 1) * size));
  return groups.map((group) => (first ? group[0] : Math.max(...group.map((value) => (value === null ? -Infinity : Number(value))))));
}

/** A series above its scores, with what is flagged in both. */
function detectCharts(series, threshold) {
  const flags = series.flags ? thinned(series.flags).map(Boolean) : [];
  const one = (name, values, more) => {
    const { svg, draw, at, right, foot } = axesOf([...values, ...more], values.length);
    svg.setAttribute("aria-label", `${series.name}, ${name}: ${series.scores.length} points, ${flags.filter(Boolean).length} marks`);
    const runs = [[]];
    values.forEach((value, k) => (Number.isFinite(value) ? runs[runs.length - 1].push(...at([value], k)) : runs.push([])));
    for (const run of runs) draw("polyline", { class: "ahead", points: run.join(" ") });
    for (const line of more) {
      const [from, to] = [at([line], 0)[0].split(","), at([line], values.length - 1)[0].split(",")];
      draw("line", { class: "now", x1: from[0], x2: to[0], y1: from[1], y2: to[1] });
    }
    flags.forEach((flag, k) => {
      if (!flag || !Number.isFinite(values[k])) return;
      const [x, y] = at([values[k]], k)[0].split(",");
      draw("circle", { class: "flag", cx: x, cy: y, r: 3.5 });
    });
    draw("text", { x: 58, y: foot }, `${series.time[0]}`);
    draw("text", { x: right, y: foot, "text-anchor": "end" }, `${series.time[series.time.length - 1]}`);
    return h("figure", { class: "forecast" }, h("figcaption", {}, h("b", {}, name), h("span", { class: "ahead" }, series.name)), svg);
  };
  return [
    ...Object.entries(series.values).map(([name, values]) => one(name, thinned(values, true), [])),
    one("score", thinned(series.scores), threshold === null ? [] : [threshold]),
  ];
}

/** The first points that are flagged, with their scores. */
function flagged(series) {
  if (!series.flags) return [];
  const found = series.time.map((time, k) => [time, series.scores[k], series.flags[k]]).filter(([, , flag]) => flag);
  const rows = found.slice(0, 50).map(([time, score]) => h("tr", {}, h("td", {}, `${time}`), h("td", {}, `${+score.toPrecision(5)}`)));
  return [
    h("h2", {}, `${found.length.toLocaleString()} of ${series.time.length.toLocaleString()} points are flagged`),
    ...(rows.length ? [h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, "time"), h("th", {}, "score"))), h("tbody", {}, ...rows))] : []),
  ];
}

function detectView(model) {
  const clean = h("input", { type: "number", min: 1, max: 100000, value: 100, "aria-label": "Clean steps" });
  const rule = h("select", {}, ...["quantile=0.99", "quantile=0.999", "tail=0.001", "alarms=1"].map((one) => h("option", {}, one)));
  const file = h("input", { type: "file", accept: ".csv,text/csv", "aria-label": "CSV file" });
  let chosen = "";
  file.addEventListener("change", async () => {
    chosen = file.files.length ? await file.files[0].text() : "";
    if (!chosen) return;
    $("text").value = "";
    entered();
  });
  const entered = () =>
    latest(async (signal) => {
      const csv = text().trim() ? text() : chosen;
      if (!csv.trim()) return show(), note(["Give a CSV file with a header and a row a step."]);
      const body = { model: model.name, csv, clean: Number(clean.value), threshold: rule.value };
      const found = await asked("/detect", body, signal);
      show(...found.series.flatMap((one) => [...detectCharts(one, found.threshold), ...flagged(one)]));
      note(found.notes);
    });
  const controls = [
    h("button", { class: "main", type: "submit" }, "Find anomalies"), h("label", {}, "File", file),
    h("label", {}, "Clean steps at the beginning", clean), h("label", {}, "Threshold", rule),
  ];
  return { prompt: "Series as CSV, with a row a step; or choose a file", longest: LONGEST_CSV, controls, typed: () => {}, entered };
}

/** Of a run that scores steps: what it says otherwise, or anomalies. */
function withDetect(other) {
  return (model) => (model.uses.includes("detect") ? chooser({ "Its answers": other(model), Anomalies: detectView(model) }) : other(model));
}

for (const kind of ["forecast", "reconstruction"]) if (views.has(kind)) views.set(kind, withDetect(views.get(kind)));
