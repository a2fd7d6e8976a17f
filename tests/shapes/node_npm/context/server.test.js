console.log("not in the image");
