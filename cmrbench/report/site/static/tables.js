// The tables: what is in them, sorting by any column, filters. Charts read their numbers from here, too.
const boards = [];
const normal = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

function numberOf(cell) {
  const value = parseFloat(cell.dataset.s ?? cell.textContent);
  return Number.isFinite(value) ? value : null;
}

function readBoard(section, table) {
  const columns = JSON.parse(section.dataset.columns).map(([task, directions, bits]) => ({ task, directions, bits }));
  const board = {
    id: section.id, section, table, columns,
    title: find("h3", section).textContent,
    dataset: section.dataset.dataset, output: section.dataset.output, protocol: section.dataset.protocol,
    metric: section.dataset.metric, headline: section.dataset.headline === "1",
    smaller: section.dataset.smaller === "1",
    bodies: all("tbody", table), rows: [], sorted: null,
  };
  for (const body of board.bodies) {
    for (const line of [...body.rows].slice(1)) {
      const title = find("a", line.cells[0])?.textContent ?? line.cells[0].firstChild?.textContent.trim() ?? "";
      board.rows.push({
        line, body, title, category: body.dataset.group, supervision: line.dataset.sup ?? "", reads: line.dataset.reads === "1",
        index: board.rows.length,
        search: normal(`${line.cells[0].textContent} ${line.cells[1].textContent} ${line.cells[2].textContent}`),
        cells: columns.map((_, i) => line.cells[i + 3]),
        fit: line.cells[columns.length + 3] ? numberOf(line.cells[columns.length + 3]) : null,
      });
    }
  }
  return board;
}

function setUpTables() {
  for (const section of all(".board")) {
    const board = readBoard(section, find("table", section));
    boards.push(board);
    for (const head of all("th[data-c]", board.table)) {
      const button = make("button", { type: "button", className: "sort" }, ...head.childNodes);
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const column = Number(head.dataset.c);
        const first = firstOrder(board, column);
        const second = first === "ascending" ? "descending" : "ascending";
        const now = board.sorted?.column === column ? board.sorted.order : null;
        sortBoard(board, column, now === null ? first : now === first ? second : null);
        keepSorting();
      });
    }
  }
  setUpFilters();
}

function firstOrder(board, column) {
  const measured = column >= 3 && column < board.columns.length + 3;
  return measured && !board.smaller ? "descending" : "ascending";
}

function sortBoard(board, column, order) {
  board.sorted = order ? { column, order } : null;
  for (const head of all("th[data-c]", board.table)) {
    if (order && Number(head.dataset.c) === column) head.setAttribute("aria-sort", order);
    else head.removeAttribute("aria-sort");
  }
  board.table.classList.toggle("flat", Boolean(order));
  if (!order) {
    for (const body of board.bodies) body.append(...board.rows.filter((row) => row.body === body).map((row) => row.line));
    return;
  }
  const sign = order === "ascending" ? 1 : -1;
  const text = column < 3;
  const key = (row) => (text ? row.line.cells[column].textContent.trim() || null : numberOf(row.line.cells[column]));
  const keyed = board.rows.map((row) => [key(row), row]);
  keyed.sort(([a, one], [b, other]) => {
    if (a === null || b === null) return (a === null) - (b === null) || one.index - other.index;
    const compared = text ? a.localeCompare(b, "en", { numeric: true, sensitivity: "base" }) : a - b;
    return sign * compared || one.index - other.index;
  });
  board.bodies[0].append(...keyed.map(([, row]) => row.line));
}

function keepSorting() {
  const listed = boards.filter((board) => board.sorted);
  view.set("sort", listed.map(({ id, sorted }) => `${id}.${sorted.column}.${sorted.order[0]}`).join("~"));
}

function restoreSorting() {
  const wanted = new Map(view.get("sort").split("~").map((part) => {
    const [id, column, order] = part.split(".");
    return [id, { column: Number(column), order: order === "a" ? "ascending" : "descending" }];
  }));
  for (const board of boards) {
    const asked = wanted.get(board.id);
    const known = asked && find(`th[data-c="${asked.column}"]`, board.table);
    if (known) sortBoard(board, asked.column, asked.order);
    else if (board.sorted) sortBoard(board, 0, null);
  }
}

const FILTERS = ["d", "o", "p", "m", "b", "c", "s", "q"];

function setUpFilters() {
  const form = find("#filters");
  const distinct = (values) => [...new Set(values)].filter(Boolean).map((value) => [value, value]);
  const outputs = { real: "real-valued", hash: "hashing" };
  fillSelect(form.d, distinct(boards.map((b) => b.dataset)), true);
  fillSelect(form.o, distinct(boards.map((b) => b.output)).map(([v]) => [v, outputs[v] ?? v]), true);
  fillSelect(form.p, distinct(boards.map((b) => b.protocol)), true);
  fillSelect(form.m, distinct(boards.map((b) => b.metric)), true);
  const bits = [...new Set(boards.flatMap((b) => b.columns.map((c) => c.bits)))].filter(Boolean).sort((a, b) => a - b);
  fillSelect(form.b, bits.map((n) => [String(n), `${n} bits`]), true);
  fillSelect(form.c, distinct(boards.flatMap((b) => b.bodies.map((body) => body.dataset.group))), true);
  let waiting = 0;
  const changed = () => {
    FILTERS.forEach((name) => view.set(name, form[name].value));
    filterBoards();
  };
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(changed, 80);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(changed));
  const restore = () => {
    for (const name of FILTERS) {
      if (form[name].tagName === "SELECT") choose(form[name], view.get(name));
      else form[name].value = view.get(name);
    }
    filterBoards();
    restoreSorting();
  };
  view.listeners.push(restore);
  restore();
}

function filterBoards() {
  const form = find("#filters");
  const wanted = Object.fromEntries(FILTERS.map((name) => [name, form[name].value]));
  const words = normal(wanted.q).split(/\s+/).filter(Boolean);
  let tables = 0;
  let rows = 0;
  for (const board of boards) {
    const metric = wanted.m === "*" || (wanted.m ? board.metric === wanted.m : board.headline);
    const bits = !wanted.b || board.columns.some((column) => String(column.bits ?? "") === wanted.b);
    const here = metric && bits && (!wanted.d || board.dataset === wanted.d) && (!wanted.o || board.output === wanted.o)
      && (!wanted.p || board.protocol === wanted.p);
    const visible = here ? filterRows(board, wanted, words) : 0;
    board.section.hidden = !visible;
    if (!visible) continue;
    filterColumns(board, wanted.b);
    tables += 1;
    rows += visible;
  }
  find("#shown").textContent = `${tables} ${tables === 1 ? "table" : "tables"}, ${rows} ${rows === 1 ? "row" : "rows"}`;
}

function filterRows(board, wanted, words) {
  const where = normal(board.title);
  const seen = new Set();
  let visible = 0;
  for (const row of board.rows) {
    const shown = (!wanted.c || row.category === wanted.c) && (!wanted.s || row.supervision === wanted.s)
      && words.every((word) => row.search.includes(word) || where.includes(word));
    row.line.hidden = !shown;
    if (!shown) continue;
    visible += 1;
    seen.add(row.category);
  }
  for (const body of board.bodies) body.rows[0].hidden = !seen.has(body.dataset.group);
  return visible;
}

function filterColumns(board, bits) {
  const sized = board.columns.some((column) => column.bits);
  const shown = board.columns.map((column) => !bits || !sized || String(column.bits) === bits);
  board.columns.forEach((_, i) => {
    find(`th[data-c="${i + 3}"]`, board.table).hidden = !shown[i];
    for (const row of board.rows) row.cells[i].hidden = !shown[i];
  });
  const tops = all("th[scope=colgroup]", board.table);
  let start = 0;
  for (const head of tops) {
    head.dataset.width ??= head.colSpan;
    const width = Number(head.dataset.width);
    const left = shown.slice(start, start + width).filter(Boolean).length;
    head.hidden = !left;
    head.colSpan = Math.max(left, 1);
    start += width;
  }
}
