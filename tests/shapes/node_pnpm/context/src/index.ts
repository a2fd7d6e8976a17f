const server = require("fastify")();
console.log("orders are taken");
