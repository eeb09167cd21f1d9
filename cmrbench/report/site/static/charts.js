// The charts' controls: which table, direction, code length and methods; draws when the charts come near the screen.
const FIGURES = {
  "chart-time": timeFigure, "chart-bits": bitsFigure, "chart-pr": recallFigure, "chart-k": cutoffFigure,
  "chart-class": classFigure, "chart-ties": tiesFigure,
};
const TASK_SHARES = ["cb", "ct", "cs"];

function methodPicker(root, key, redraw) {
  const picker = { rows: [], chosen: new Set() };
  const count = find(".count", root);
  const show = () => {
    for (const box of all("input", root)) box.checked = picker.chosen.has(box.value);
    count.textContent = `${picker.chosen.size} of ${picker.rows.length} chosen`;
  };
  picker.fill = (rows, best) => {
    picker.rows = rows;
    picker.best = best;
    const wanted = view.get(key).split("~").filter((name) => rows.some((row) => row.title === name));
    picker.chosen = new Set(view.values.has(key) && (wanted.length || view.get(key) === "-") ? wanted : best);
    const groups = [...new Set(rows.map((row) => row.category))].map((category) =>
      make("fieldset", {}, make("legend", { textContent: category }), ...rows.filter((row) => row.category === category).map((row) =>
        make("label", {}, make("input", { type: "checkbox", value: row.title }), ` ${row.title}`))));
    find(".boxes", root).replaceChildren(...groups);
    show();
  };
  const changed = () => {
    view.set(key, [...picker.chosen].join("~") || "-");
    show();
    redraw();
  };
  root.addEventListener("change", (event) => {
    if (event.target.checked) picker.chosen.add(event.target.value);
    else picker.chosen.delete(event.target.value);
    changed();
  });
  for (const button of all("[data-pick]", root)) {
    button.addEventListener("click", () => {
      const everything = picker.rows.map((row) => row.title);
      picker.chosen = new Set({ best: picker.best, all: everything, none: [] }[button.dataset.pick]);
      changed();
    });
  }
  return picker;
}

function bestOfCategories(board, column, most = 8) {
  const best = new Map();
  for (const row of board.rows) {
    const value = column < 0 ? null : numberOf(row.cells[column]);
    if (value === null || row.title === "Chance" || row.reads) continue;
    const listed = best.get(row.category) ?? [];
    listed.push([board.smaller ? value : -value, row.title]);
    best.set(row.category, listed);
  }
  const each = best.size > 2 ? 2 : 3;
  return [...best.values()].flatMap((listed) => listed.sort((a, b) => a[0] - b[0]).slice(0, each).map(([, title]) => title)).slice(0, most);
}

function fullestBits(board, task) {
  const numbers = (column) => board.rows.filter((row) => numberOf(row.cells[board.columns.indexOf(column)]) !== null).length;
  const sized = board.columns.filter((column) => column.task === task && column.bits);
  const most = Math.max(0, ...sized.map(numbers));
  return String(sized.filter((column) => numbers(column) === most).at(-1)?.bits ?? "");
}

function setUpCharts() {
  const form = find("#chart-form");
  if (!boards.length) return;
  let data = {};
  let drawn = false;
  const board = () => boards.find((one) => one.id === form.cb.value) ?? boards[0];
  const redraw = () => drawn && drawAll();
  const picker = methodPicker(find("#chart-methods"), "cm", () => redraw());
  fillSelect(form.cb, boards.map((one) => [one.id, one.title, one.dataset]));

  const fill = () => {
    const headline = boards.find((one) => one.headline && one.output === "hash") ?? boards.find((one) => one.headline) ?? boards[0];
    choose(form.cb, view.get("cb") || headline.id);
    fillParts();
  };
  const fillParts = () => {
    const one = board();
    const tasks = [...new Set(one.columns.map((column) => column.task))];
    fillSelect(form.ct, tasks.map((task) => [task, task]));
    choose(form.ct, view.get("ct") || tasks[0]);
    const bits = [...new Set(one.columns.map((column) => column.bits))].filter(Boolean);
    fillSelect(form.cs, bits.length ? bits.map((n) => [String(n), `${n} bits`]) : [["", "—"]]);
    choose(form.cs, view.get("cs") || fullestBits(one, form.ct.value));
    form.cs.disabled = !bits.length;
    picker.fill(one.rows, bestOfCategories(one, columnOf(one, form.ct.value, form.cs.value)));
  };
  const drawAll = async () => {
    const one = board();
    const chosen = one.rows.filter((row) => picker.chosen.has(row.title));
    const options = { board: one, task: form.ct.value, bits: form.cs.value, chosen, data: data[one.id] ?? null };
    find("#chart-note").textContent = one.headline ? "" : "Curves, values by class and first results are stored with each protocol’s first metric: choose that table to see them.";
    for (const [id, figure] of Object.entries(FIGURES)) await draw(find(`#${id}`), figure(options));
  };
  form.addEventListener("change", (event) => {
    TASK_SHARES.forEach((name) => view.set(name, form[name].value));
    if (event.target.name === "cb") {
      view.set("cm", "");
      fillParts();
    }
    redraw();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  view.listeners.push(() => {
    fill();
    redraw();
  });
  theme.listeners.push(redraw);
  fill();
  whenNear(find("#charts"), async () => {
    try {
      data = JSON.parse(await unpacked("data-charts"));
      drawn = true;
      await drawAll();
      document.documentElement.dataset.charts = "drawn";
    } catch (error) {
      find("#chart-note").textContent = `The charts cannot be drawn in this browser (${error.message}); their numbers stand in the tables.`;
    }
  });
}
