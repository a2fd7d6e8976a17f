const toolkit = require("toolkit");
console.log("internal only");
