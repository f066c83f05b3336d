import { nothing } from "./not-there";
console.log(nothing);
