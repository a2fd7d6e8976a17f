require("koa");
require("pg");
console.log("the shop is open");
