class Billing {
    public static void main(String[] arguments) {
        System.out.println("bills are written");
    }
}
