const express = require("express");
console.log("the web is up");
