declare const h: (tag: string, attributes: object | null, ...children: unknown[]) => unknown;
import { greet } from "greet";

export class Counter { #count = 0; static made = 0; next() { return ++this.#count; } }
export const later = () => h("p", { title: greet("später") }, <b>{new Counter().next()}</b>);
