// What a build tool asks of Node: files, streams, workers, children, hashes, compression, sockets.
import { execFileSync, spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { fileURLToPath } from "node:url";

const self = fileURLToPath(import.meta.url);

async function main() {
    fs.mkdirSync("out/deep/er", { recursive: true });
    for (let i = 0; i < 20; i++) fs.writeFileSync(path.join("out", `file-${i}.txt`), `number ${i}\n`.repeat(i));
    fs.renameSync("out/file-0.txt", "out/deep/er/empty.txt");
    fs.appendFileSync("out/deep/er/empty.txt", "äöü€😀\n");
    const names = fs.readdirSync("out", { recursive: true, withFileTypes: true });
    console.log(names.filter((entry) => entry.isFile()).length, names.filter((entry) => entry.isDirectory()).length);
    console.log(fs.readFileSync("out/deep/er/empty.txt", "utf8").trim(), fs.statSync("out/file-7.txt").size);
    try {
        fs.readFileSync("none");
    } catch (error) {
        console.log(error.code);
    }
    let lines = 0;
    for await (const chunk of fs.createReadStream("out/file-19.txt", { encoding: "utf8", highWaterMark: 16 })) lines += chunk.split("\n").length - 1;
    console.log(lines);

    const workers = [1, 2, 3, 4].map((number) => new Worker(self, { workerData: number }));
    console.log(await Promise.all(workers.map(async (worker) => (await once(worker, "message"))[0])));

    console.log(execFileSync(process.execPath, ["-p", "6*7"], { encoding: "utf8" }).trim());
    const child = spawn(process.execPath, [self, "echo"], { stdio: ["pipe", "pipe", "inherit"] });
    child.stdin.end("through two pipes");
    let answer = "";
    child.stdout.setEncoding("utf8").on("data", (text) => (answer += text));
    console.log(await once(child, "close"), answer);

    const text = "compressible ".repeat(1000);
    console.log(createHash("sha256").update(text).digest("hex"), randomUUID().length);
    console.log(gunzipSync(gzipSync(text)).toString() === text);

    const server = http.createServer((request, response) => response.end(`${request.method} ${request.url}`));
    await once(server.listen(0, "127.0.0.1"), "listening");
    console.log(await (await fetch(`http://127.0.0.1:${server.address().port}/path`, { method: "PUT" })).text());
    server.close();

    const order = [];
    setTimeout(() => order.push("timer"), 5);
    setImmediate(() => order.push("immediate"));
    process.nextTick(() => order.push("tick"));
    await new Promise((resolve) => setTimeout(resolve, 50));
    console.log(order.join(" "));
    process.exitCode = 3;
}

function collatz(limit) {
    let most = 0;
    for (let start = 1; start < limit; start++) {
        let steps = 0;
        for (let n = start; n !== 1; steps++) n = n % 2 ? 3 * n + 1 : n / 2;
        most = Math.max(most, steps);
    }
    return most;
}

if (!isMainThread) parentPort.postMessage(collatz(workerData * 10000));
else if (process.argv[2] === "echo") process.stdin.pipe(process.stdout);
else await main();
