import { greet } from "greet";
import { area, Shape } from "./shapes";
import data from "./data.json";
import "./style.css";

const shapes: Shape[] = data.shapes as Shape[];
const label: string | undefined = data.label ?? undefined;
console.log(greet(label?.toUpperCase() ?? "nobody"));
for (const shape of shapes) console.log(`${shape.kind}: ${area(shape).toFixed(2)}`);
import("./lazy").then(({ later }) => later());
