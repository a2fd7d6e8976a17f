'use strict';

const http = require('http');
const mustache = require('mustache');

const page = '<h1>{{greeting}}</h1>\n<p>Served by Node.js {{version}} from a container.</p>\n';
const greeting = 'Hello from dissolver!';

const server = http.createServer((request, response) => {
  response.setHeader('Content-Type', 'text/html');
  response.end(mustache.render(page, { greeting, version: process.version }));
});

server.listen(80);

// A container's first process gets no default handler for SIGTERM.
process.on('SIGTERM', () => server.close(() => process.exit(0)));
