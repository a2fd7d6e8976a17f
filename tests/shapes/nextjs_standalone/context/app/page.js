export default () => console.log("welcome");
