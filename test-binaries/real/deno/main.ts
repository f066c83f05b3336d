// Types, files, a server and its client, a test.
interface Entry {
    name: string;
    size: number;
}

await Deno.mkdir("out", { recursive: true });
await Deno.writeTextFile("out/a.txt", "äöü€😀\n");
const entries: Entry[] = [];
for await (const entry of Deno.readDir("out")) entries.push({ name: entry.name, size: (await Deno.stat(`out/${entry.name}`)).size });
console.log(entries);
const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => new Response(`got ${new URL(request.url).pathname}`));
console.log(await (await fetch(`http://127.0.0.1:${server.addr.port}/path`)).text());
await server.shutdown();
console.log(await Deno.readTextFile("none").catch((error) => error.name));
const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode("x"));
console.log(new Uint8Array(digest).slice(0, 4));
