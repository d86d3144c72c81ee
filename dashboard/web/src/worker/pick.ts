/** Which vehicles were drawn where: noted while painting, and put into a grid of lists when somebody asks. Pictures are many, clicks few. */

const CELL_SHIFT = 4;

export class PickGrid {
  private columns = 0;
  private rows = 0;
  private head = new Int32Array(0);
  private next = new Int32Array(0);
  private px = new Int32Array(0);
  private py = new Int32Array(0);
  private tag = new Int32Array(0);
  private count = 0;
  /** How many of them the grid has. */
  private sorted = 0;

  reset(w: number, h: number, atMost: number): void {
    this.columns = (w >> CELL_SHIFT) + 1;
    this.rows = (h >> CELL_SHIFT) + 1;
    if (this.next.length < atMost) {
      const size = 2 ** Math.ceil(Math.log2(atMost));
      this.next = new Int32Array(size);
      this.px = new Int32Array(size);
      this.py = new Int32Array(size);
      this.tag = new Int32Array(size);
    }
    this.count = this.sorted = 0;
  }

  /** Adds one drawn thing. The last added lies on top. */
  add(x: number, y: number, tag: number): void {
    const i = this.count++;
    this.px[i] = x;
    this.py[i] = y;
    this.tag[i] = tag;
  }

  private sort(): void {
    if (this.sorted === this.count) return;
    const { columns, rows, px, py, next } = this;
    if (this.head.length < columns * rows) this.head = new Int32Array(columns * rows);
    else this.head.fill(0);
    for (let i = 0; i < this.count; i++) {
      const cell = (py[i] >> CELL_SHIFT) * columns + (px[i] >> CELL_SHIFT);
      next[i] = this.head[cell];
      this.head[cell] = i + 1;
    }
    this.sorted = this.count;
  }

  /** Tags within `radius` px, nearest first. */
  near(x: number, y: number, radius: number): number[] {
    const found: { tag: number; d: number }[] = [];
    // The grid may still be that of an earlier picture.
    if (this.count === 0) return [];
    this.sort();
    const c0 = Math.max(0, (x - radius) >> CELL_SHIFT), c1 = Math.min(this.columns - 1, (x + radius) >> CELL_SHIFT);
    const r0 = Math.max(0, (y - radius) >> CELL_SHIFT), r1 = Math.min(this.rows - 1, (y + radius) >> CELL_SHIFT);
    for (let r = r0; r <= r1; r++) {
      for (let c = c0; c <= c1; c++) {
        for (let i = this.head[r * this.columns + c] - 1; i >= 0; i = this.next[i] - 1) {
          const d = (this.px[i] - x) ** 2 + (this.py[i] - y) ** 2;
          if (d <= radius * radius) found.push({ tag: this.tag[i], d });
        }
      }
    }
    return found.sort((a, b) => a.d - b.d).map((f) => f.tag);
  }
}

/** Each vehicle once, as who is selected is drawn twice: the first ones, and how many more there are. Null is a counted cell. */
export function distinct<T extends { scene: number; slot: number }>(picked: readonly (T | null)[], most: number): { those: T[]; more: number } {
  const all = new Map(picked.flatMap((one) => (one ? [[`${one.scene}/${one.slot}`, one] as const] : [])));
  return { those: [...all.values()].slice(0, most), more: Math.max(0, all.size - most) };
}
