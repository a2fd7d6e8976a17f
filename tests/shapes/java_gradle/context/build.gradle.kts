dependencies {
    implementation("org.example:core:2.1.0")
}
